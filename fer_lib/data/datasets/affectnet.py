"""AffectNet: class folders named by number or by emotion."""

from fer_lib import emotions
from fer_lib.data.datasets.cards import Card, Dataset
from fer_lib.data.datasets.image_sets import load_files
from fer_lib.data.readers.class_folders import class_entries, class_files
from fer_lib.data.readers.labels import Labels

_LABELS = Labels(scheme="affectnet")


def load_affectnet(*, on_error="raise", split_seed=0, size=48, colour=False):
    """Load AffectNet's class folders, named by emotion or by number (0 neutral … 7 contempt).

    AffectNet's test faces are not public: what is reported is its validation split, and 10 % of
    the training faces are held out for validation. See `load_files` for the arguments and what is
    returned.
    """
    options = {"on_error": on_error, "split_seed": split_seed, "size": size, "colour": colour}
    return load_files("affectnet", AFFECTNET.card, _find, **options)


def _find(names, load):
    found = class_files(names, _LABELS)
    return class_entries(found, emotions.smallest_label_set(e for _, _, e in found)), []


AFFECTNET = Dataset(
    load_affectnet,
    Card(
        title="AffectNet: 291,651 labelled faces from the web, eight emotions",
        source="http://mohammadmahoor.com/affectnet/ (on request from the makers)",
        licence="non-commercial research, by the agreement with the makers; no redistribution",
        label_set=emotions.FERPLUS8,
        counts={},
        citation="Mollahosseini, Hasani & Mahoor, AffectNet, 2017, "
        "https://arxiv.org/abs/1708.03985",
        access="class folders train/0 … val/7 (0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 "
        "disgust, 6 anger, 7 contempt) or named by emotion, or a zip of them",
        notes="the test split is not public; one annotator per face, two of whom agree on 61 %; "
        "training classes are very unequal (134,415 happy, 3,750 contempt), validation is "
        "balanced (500 each); copies on Kaggle are partial; about 0.7 GB in memory at 48 x 48",
    ),
)
