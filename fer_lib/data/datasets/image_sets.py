"""Data sets that come as image files under FER_HOME/datasets/<name>: found, read, cached, split."""

import warnings

from fer_lib.data.datasets.cards import differences, source_of
from fer_lib.data.readers import archives, cache, image_files
from fer_lib.data.splits import split_by_usage

_VERSION = "1"  # to be raised when a data set's files are read differently


def load_files(name, card, find, *, on_error="raise", split_seed=0, size=48, colour=False):
    """Read the image files of a data set and split them.

    Args:
        name: Key of `DATASETS`; the files lie in FER_HOME/datasets/<name>, or in a zip there.
        card: Its `Card`; faces that differ from its counts give a warning.
        find: Function of the relative file names and of a function that returns the bytes of
            one. It returns a list of `Entry` and a list of reasons of what is left out by rule.
        on_error: `"raise"`, or `"skip"` to drop files that cannot be read.
        split_seed: Seed of the faces held out where there is no official split.
        size: Height and width in pixels that the images are resized to.
        colour: Whether to read colour.

    Returns:
        Dict of `Faces` with the keys `"train"`, `"validation"` and `"test"`.

    Raises:
        FileNotFoundError: If there are no files; the message says what to put where.
        ValueError: If the files are others or some cannot be read.
    """
    source = source_of(name, card)
    called = card.title.partition(":")[0]

    def parse(path):
        with archives.opened_tree(path) as (names, load, problems):
            entries, left_out = find(names, load)
            if not entries:
                raise ValueError(f"{path} holds no files of {called}; it must hold {card.access}.")
            return image_files.read_entries(
                entries,
                load,
                path,
                problems=problems,
                dropped=left_out,
                on_error=on_error,
                size=size,
                colour=colour,
            )

    faces = cache.cached(
        source, parse, version=f"{name} {_VERSION} {size}{' colour' * colour}", on_error=on_error
    )
    if faces.label_set == card.label_set and (wrong := differences(faces, card.counts)):
        warnings.warn(f"{called} in {source} is not the official one: {wrong}.", stacklevel=3)
    return split_by_usage(faces, called, split_seed=split_seed)


def images(names):
    """Return the names of image files, sorted."""
    return sorted(name for name in names if name.lower().endswith(image_files.SUFFIXES))
