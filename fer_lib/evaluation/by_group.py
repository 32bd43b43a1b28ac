"""By group: does a classifier fail some people more than others?

A group is what a data set says of the people on its pictures, such as an age or a gender. Groups
have other shares of the emotions, so recall is averaged over the emotions: a group with more happy
faces would else seem to be recognised better. Groups under 50 faces are refused: the interval of
their recall would span 0.2 and more.
"""

import numpy as np

from fer_lib.evaluation import bootstrap, confusion, metrics

LEAST = 50
NOT_KNOWN = "not known"


def group_table(labels, probabilities, label_set, values, *, subjects=None, resamples=2000, seed=0):
    """Score each group of people, and test whether the groups differ.

    Args:
        labels: Integer array of shape `(n,)`, values in `[0, classes)`.
        probabilities: Float array of shape `(n, classes)`, rows summing to 1.
        label_set: Emotion names in the order of the class numbers.
        values: Array of shape `(n,)`: the group of each face, `""` or missing where not known.
        subjects: Array of shape `(n,)`, equal for faces of one person or sequence, which are
            resampled and exchanged together; or `None`.
        resamples: Number of bootstrap resamples and of permutations.
        seed: Of both.

    Returns:
        `pandas.DataFrame`, one row a group, the largest first: `group`, `n`; `recall`, the mean
        over the emotions of which every judged group has `confusion.FEW` faces; `overconfidence`,
        mean confidence minus accuracy (unlike an expected calibration error, it is not larger for
        a smaller group); each with the ends `_low` and `_high` of its 95 % interval; `recall of`
        each of these emotions; `judged`, which is false for fewer than `LEAST` faces and where the
        group is not known, without scores. `attrs` has `"emotions"`, and `"recall_p"` and
        `"overconfidence_p"`: how often groups dealt out at random, among faces of one emotion or
        among subjects, differ as much from the best to the worst (Good, Permutation Tests, 2000);
        `None` for fewer than two judged groups.

    Raises:
        ValueError: If arrays do not fit together, or a subject is in two groups.
    """
    import pandas as pd

    labels, probabilities = metrics.checked(labels, probabilities, label_set)
    values = _named(values, len(labels))
    if subjects is not None:
        subjects = np.unique(np.asarray(subjects), return_inverse=True)[1]
        _check_subjects(values, subjects)
    names, counts = np.unique(values, return_counts=True)
    judged = [n for n, c in zip(names, counts, strict=True) if c >= LEAST and n != NOT_KNOWN]
    classes = [
        number
        for number in range(len(label_set))
        if judged and all((labels[values == n] == number).sum() >= confusion.FEW for n in judged)
    ]
    columns = _columns(labels, probabilities)
    rows = []
    for place in np.argsort(-counts, kind="stable"):
        name = names[place]
        row = {"group": name, "n": int(counts[place]), "judged": name in judged and bool(classes)}
        if row["judged"]:
            mine = columns * (values == name)[:, None]
            by = np.arange(len(labels)) if subjects is None else subjects
            drawn = bootstrap.resample_groups(mine, by, resamples, seed)
            drawn = drawn[(drawn[:, 2:][:, 1::2][:, classes] > 0).all(axis=1)]
            for measure, of in (("recall", _recall), ("overconfidence", _gap)):
                told = bootstrap.interval(float(of(mine.sum(axis=0), classes)), of(drawn, classes))
                row |= {measure: told["value"]}
                row |= {f"{measure}_{end}": told[end] for end in ("low", "high")}
            sums = mine.sum(axis=0)[2:]
            row |= {f"recall of {label_set[c]}": sums[2 * c] / sums[2 * c + 1] for c in classes}
        rows.append(row)
    table = pd.DataFrame(rows)
    table.attrs["emotions"] = [label_set[c] for c in classes]
    table.attrs |= _tests(columns, labels, values, judged, classes, subjects, resamples, seed)
    return table


def _columns(labels, probabilities):
    """Return per face: 1, confidence minus right, then for each class whether right and of it."""
    right = probabilities.argmax(axis=1) == labels
    confidence = probabilities.max(axis=1) / probabilities.sum(axis=1)
    own = np.eye(probabilities.shape[1])[labels]
    pairs = np.stack([own * right[:, None], own], axis=2).reshape(len(labels), -1)
    return np.column_stack([np.ones(len(labels)), confidence - right, pairs])


def _recall(sums, classes):
    pairs = sums[..., 2:]
    right, n = (pairs[..., start::2][..., classes] for start in (0, 1))
    return confusion.divide(right, n).mean(axis=-1)


def _gap(sums, classes):
    return confusion.divide(sums[..., 1], sums[..., 0])


def _tests(columns, labels, values, judged, classes, subjects, permutations, seed):
    if len(judged) < 2 or not classes:
        return {"recall_p": None, "overconfidence_p": None}
    kept = np.isin(values, judged)
    columns, labels = columns[kept], labels[kept]
    group = np.searchsorted(judged, values[kept])
    numbers = None if subjects is None else np.unique(subjects[kept], return_inverse=True)[1]

    def spans(group):
        sums = np.eye(len(judged))[group].T @ columns
        return [np.ptp(of(sums, classes)) for of in (_recall, _gap)]

    found, generator = spans(group), np.random.default_rng(seed)
    reached = np.ones(2)  # as it was found is one of the permutations
    for _ in range(permutations):
        reached += np.array(spans(_dealt(group, labels, numbers, generator))) >= np.array(found)
    recall, gap = (reached / (permutations + 1)).tolist()
    return {"recall_p": recall, "overconfidence_p": gap}


def _dealt(group, labels, subjects, generator):
    """Deal the groups out anew: among the faces of one class, or among subjects."""
    if subjects is None:
        order = np.argsort(labels, kind="stable")
        shuffled = np.lexsort((generator.random(len(labels)), labels))
        dealt = np.empty_like(group)
        dealt[order] = group[shuffled]
        return dealt
    first = np.zeros(subjects.max() + 1, group.dtype)
    first[subjects] = group
    return generator.permutation(first)[subjects]


def _named(values, n):
    values = np.asarray(values, object)
    if values.shape != (n,):
        raise ValueError(f"values must have shape ({n},), one for each face; got {values.shape}.")
    return np.array([NOT_KNOWN if v is None or v != v or v == "" else str(v) for v in values])


def _check_subjects(values, subjects):
    pairs = np.unique(np.stack([subjects, np.unique(values, return_inverse=True)[1]]), axis=1)
    several = np.flatnonzero(np.bincount(pairs[0]) > 1)
    if several.size:
        told = sorted(set(values[subjects == several[0]].tolist()))
        raise ValueError(
            f"Each subject must be in one group; one is in {', '.join(told)} ({several.size} such "
            "subjects)."
        )
