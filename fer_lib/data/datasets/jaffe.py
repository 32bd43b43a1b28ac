"""JAFFE: posed expressions of ten Japanese women, told by the file names."""

import re
from pathlib import PurePosixPath

from fer_lib import emotions
from fer_lib.data.datasets.cards import Card, Dataset
from fer_lib.data.datasets.image_sets import images, load_files
from fer_lib.data.readers.image_files import Entry

_NAME = re.compile(r"([A-Z]{2})\.([A-Z]{2})\d\.\d+", re.IGNORECASE)


def load_jaffe(*, on_error="raise", split_seed=0, size=48, colour=False):
    """Load JAFFE, split 80/10/10 by subject: `KA.AN1.39.tiff` is subject KA, angry.

    See `load_files` for the arguments and what is returned.
    """
    options = {"on_error": on_error, "split_seed": split_seed, "size": size, "colour": colour}
    return load_files("jaffe", JAFFE.card, _find, **options)


def _find(names, load):
    entries = []
    for name in images(names):
        match = _NAME.match(PurePosixPath(name).stem)
        try:
            entries.append(Entry(name, emotions.canonical(match[2]), group=match[1].upper()))
        except (TypeError, ValueError):
            entries.append(Entry(name, fault="must be named like KA.AN1.39.tiff"))
    return entries, []


JAFFE = Dataset(
    load_jaffe,
    Card(
        title="JAFFE: 213 posed expressions of ten Japanese women, seven emotions",
        source="https://zenodo.org/records/3451524 (on request from the makers)",
        licence="non-commercial research, by the agreement with the makers; no redistribution",
        label_set=emotions.FER7,
        counts={"all": (30, 29, 32, 31, 31, 30, 30)},
        citation="Lyons et al., Coding Facial Expressions with Gabor Wavelets, 1998, "
        "https://doi.org/10.1109/AFGR.1998.670949",
        access="the files as they are named (KA.AN1.39.tiff), or a zip of them",
        notes="ten subjects only, three or four images of each expression: a random split tests "
        "on trained faces, and one subject more or less moves the score by several points; 256 x "
        "256 pixels with hair and neck; some labels differ from the raters' semantic ratings",
    ),
)
