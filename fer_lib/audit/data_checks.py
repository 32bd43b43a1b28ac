"""Checks of the splits.

A check fails where a published number would be wrong, warns where a reader must be told, and
passes otherwise. To add one: write it here, on plain arrays, and list it in `CHECKS`.
"""

import numpy as np

from fer_lib.audit.evidence import rows_of
from fer_lib.audit.finding import Check, Finding

# FER-2013's official PublicTest, on which everybody reports, has 8 % of its faces identical in
# Training and 16 % nearly so. Above that, a split is a mistake of the splitting.
IDENTICAL_TOLERATED, NEAR_TOLERATED = 0.10, 0.20


# Splits


def shared_between_splits(what, numbers, tolerated):
    """Check that no group stands in two splits.

    Args:
        what: What a group is: `"identical images"`, `"near-duplicates"`, `"subjects"` …
        numbers: Dict of split → array of shape `(n,)`, equal numbers for one group.
        tolerated: Share of a split's faces with a group in another one, above which it fails.
    """
    figures, worst = {}, 0
    for part, other in (("test", "train"), ("validation", "train"), ("test", "validation")):
        if part in numbers and other in numbers and len(numbers[part]):
            shared = np.isin(numbers[part], numbers[other])
            figures[f"{part} in {other}"] = int(shared.sum())
            figures[f"share of {part} in {other}"] = round(float(shared.mean()), 4)
            worst = max(worst, shared.mean())
    counts = ", ".join(f"{n:,} {k}" for k, n in figures.items() if not k.startswith("share"))
    text = f"Faces that share {what} with another split: {counts or 'there is one split only'}."
    if not worst:
        return Finding(what, "pass", figures, text)
    if worst > tolerated:
        return Finding(
            what,
            "fail",
            figures,
            f"{text} More than {tolerated:.0%}: split again by groups (splits.holdout, "
            "splits.kfold) or drop them (splits.drop_duplicates).",
        )
    return Finding(
        what,
        "warn",
        figures,
        f"{text} Report the score on the faces without them too (splits.drop_duplicates).",
    )


def conflicting_labels(numbers, classes):
    """Check that identical images have one label.

    Args:
        numbers: Integer array of shape `(n,)` from `duplicates.duplicate_groups`.
        classes: Integer array of shape `(n,)`.
    """
    pairs = np.unique(np.stack([numbers, classes]), axis=1)
    conflicting = np.bincount(pairs[0]) > 1
    faces = int(conflicting[numbers].sum())
    figures = {
        "repeated images": len(numbers) - len(np.unique(numbers)),
        "images of several labels": int(conflicting.sum()),
        "faces of these": faces,
    }
    status = "pass" if not faces else "warn" if faces <= 0.05 * len(numbers) else "fail"
    return Finding(
        "label conflicts",
        status,
        figures,
        f"{figures['repeated images']:,} of {len(numbers):,} images repeat another one; "
        f"{figures['images of several labels']:,} images have several labels ({faces:,} faces).",
    )


def trained_on_evaluation_rows(train, evaluated):
    """Check that no row that is scored is a row of train.

    Ids alone do not prove it, for two files may number their rows alike: the pixels count too.

    Args:
        train, evaluated: `(ids, numbers)`: arrays of shape `(n,)`, the numbers those of
            `duplicates.duplicate_groups` over both.
    """
    rows = set(zip(*(np.asarray(part).tolist() for part in train), strict=True))
    same = sum(
        row in rows for row in zip(*(np.asarray(part).tolist() for part in evaluated), strict=True)
    )
    count = len(evaluated[0])
    figures = {"scored": count, "of these rows of train": same}
    text = f"{same:,} of {count:,} scored rows are rows of train"
    if not same:
        return Finding("evaluation rows", "pass", figures, f"{text}.")
    return Finding(
        "evaluation rows", "fail", figures, f"{text}: the score measures memory. Score other rows."
    )


# Classes


# The metric


def _conflicting_labels(evidence):
    exact = np.concatenate(list(evidence.exact.values()))
    classes = np.concatenate([faces.classes for faces in evidence.parts.values()])
    return conflicting_labels(exact, classes)


def _groups(evidence):
    if evidence.groups is None:
        return None
    return shared_between_splits("subjects or sequences", evidence.groups, 0)


def _evaluation_rows(evidence):
    """Compare the scored rows, which may be none of the test faces', with those of train."""
    train, scored = evidence.parts["train"], evidence.scored
    unknown = evidence.run.predictions["ids"][scored < 0]
    ids = np.concatenate([evidence.parts["test"].ids[scored[scored >= 0]], unknown])
    strangers = rows_of(unknown, train.ids)
    numbers = evidence.exact["train"]
    exact = np.concatenate(
        [
            evidence.exact["test"][scored[scored >= 0]],
            np.where(strangers >= 0, numbers[strangers], -1),
        ]
    )
    return trained_on_evaluation_rows((train.ids, numbers), (ids, exact))


CHECKS = (
    Check(
        "L1.4",
        ("data",),
        lambda e: shared_between_splits("identical images", e.exact, IDENTICAL_TOLERATED),
    ),
    Check(
        "L1.4",
        ("data",),
        lambda e: shared_between_splits("near-duplicates", e.near, NEAR_TOLERATED),
    ),
    Check("L1.4", ("data",), _conflicting_labels),
    Check("L3.2", ("data",), _groups),
    Check("L1.1", ("data", "run"), _evaluation_rows),
)
