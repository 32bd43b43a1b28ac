"""Evidence: what the audit's checks work from, gathered when a check first asks for it."""

import functools

import numpy as np

from fer_lib.data import duplicates
from fer_lib.experiments import runs

FACES_TO_TRY = 32


class Evidence:
    """A run, its data, or both.

    Args:
        run: A finished `Run`, or `None`.
        parts: Dict of `Faces` with some of the keys `"train"`, `"validation"` and `"test"`, or
            `None`. With a run they must be the faces that it was fitted and scored on.
    """

    def __init__(self, run=None, parts=None):
        self.run, self.parts = run, parts

    @functools.cached_property
    def at_hand(self):
        """Set of what there is, as `Check.needs` names it."""
        model = self.run is not None and (self.run.folder / "model.keras").exists()
        there = {"data": self.parts is not None, "run": self.run is not None, "model": model}
        return {name for name, known in there.items() if known}

    # The data

    @functools.cached_property
    def exact(self):
        """`{split: integer array}`: equal numbers for identical images, across splits."""
        return self._numbered(duplicates.duplicate_groups)

    @functools.cached_property
    def near(self):
        """`{split: integer array}`: equal numbers for nearly identical images."""
        return self._numbered(duplicates.near_duplicate_groups)

    @functools.cached_property
    def groups(self):
        """`{split: integer array}` of subjects or sequences, or `None` where one is not known."""
        if any(faces.groups is None for faces in self.parts.values()):
            return None
        groups = np.concatenate([faces.groups for faces in self.parts.values()])
        return self._by_split(np.unique(groups, return_inverse=True)[1])

    def _numbered(self, number):
        return self._by_split(number(np.concatenate([f.images for f in self.parts.values()])))

    def _by_split(self, numbers):
        ends = np.cumsum([len(faces) for faces in self.parts.values()])[:-1]
        return dict(zip(self.parts, np.split(numbers, ends), strict=True))

    # The run's answers

    @property
    def labels(self):
        """Labels of the scored faces."""
        return self.run.predictions["labels"]

    @property
    def probabilities(self):
        """What the run answered about the scored faces."""
        return self.run.predictions["probabilities"]

    @property
    def label_set(self):
        """Emotion names in the order of the run's classes."""
        return list(self.run.scores["test"]["per_class"])

    @functools.cached_property
    def scored(self):
        """Row of each scored face among the test faces, -1 where it is none of them."""
        return rows_of(self.run.predictions["ids"], self.parts["test"].ids)

    @functools.cached_property
    def beside(self):
        """The finished runs in the folder that this one lies in, this one among them."""
        folder = self.run.folder.resolve().parent
        found = [runs.Run(path.parent) for path in sorted(folder.glob("*/scores.json"))]
        return [run for run in found if not runs.damage(run)]

    # The model

    @functools.cached_property
    def model(self):
        """The run's classifier."""
        return self.run.model()

    @functools.cached_property
    def some_images(self):
        """A few test faces of each class."""
        test = self.parts["test"]
        return test.examples(-(-FACES_TO_TRY // len(test.label_set))).images[:FACES_TO_TRY]


def rows_of(ids, known):
    """Return the row of each id among the known ones, -1 where there is none."""
    rows = {identity: row for row, identity in enumerate(known.tolist())}
    return np.array([rows.get(identity, -1) for identity in ids.tolist()], dtype=np.int64)
