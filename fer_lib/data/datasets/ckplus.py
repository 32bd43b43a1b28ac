"""CK+ in Kaggle's CK+48 layout: posed expressions, several frames and classes per subject."""

import warnings

from fer_lib import emotions
from fer_lib.data.datasets.cards import Card, Dataset, differences, source_of
from fer_lib.data.readers import sources
from fer_lib.data.splits import split_by_usage


def load_ckplus(*, on_error="raise", split_seed=0):
    """Load CK+ from FER_HOME/datasets/ckplus, split 80/10/10 by subject.

    There is no official split. `splits.holdout` makes one in which no subject stands on two
    sides; `Faces.groups` holds the subjects.

    Args:
        on_error: `"raise"`, or `"skip"` to drop files that cannot be read.
        split_seed: Seed of the subjects held out.

    Returns:
        Dict of `Faces` of CK+-7 with the keys `"train"`, `"validation"` and `"test"`.

    Raises:
        FileNotFoundError: If it is not on disk.
        ValueError: If files cannot be read or their names do not tell the subject.
    """
    source = source_of("ckplus", CKPLUS.card)
    faces = sources.read(source, on_error=on_error)
    if faces.groups is None or faces.label_set != emotions.CKPLUS7:
        raise ValueError(
            f"{source} must hold CK+48's class folders with file names like "
            "anger/S010_004_00000017.png, by whose subject (S010) the faces are split."
        )
    if difference := differences(faces, CKPLUS.card.counts):
        warnings.warn(f"CK+ in {source} is not CK+48: {difference}.", stacklevel=2)
    return split_by_usage(faces, "CK+", split_seed=split_seed)


CKPLUS = Dataset(
    load_ckplus,
    Card(
        title="CK+ (Kaggle's CK+48): 981 grey 48 x 48 faces of 118 subjects, seven emotions",
        source="https://www.kaggle.com/datasets/shawon10/ckplus, or the whole data set on request "
        "from https://www.jeffcohn.net/Resources/",
        licence="research use only, by the agreement with the makers",
        label_set=emotions.CKPLUS7,
        counts={"all": (135, 177, 75, 207, 84, 249, 54)},
        citation="Lucey et al., The Extended Cohn-Kanade Dataset (CK+), 2010, "
        "https://doi.org/10.1109/CVPRW.2010.5543262",
        access="the folders anger/, contempt/, disgust/, fear/, happy/, sadness/ and surprise/ "
        "(inside CK+48/ or not), or a zip of them",
        notes="posed in a laboratory; the last three frames of 327 sequences, nearly identical; "
        "subjects stand in several classes, so a random split tests on trained faces (published "
        "99 % are mostly that); contempt but no neutral",
    ),
)
