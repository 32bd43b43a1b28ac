"""Label noise: which labels a classifier that never saw them doubts, and how often it is right.

To add features that need no training: write `name(images) -> float32 array (n, d)` and put it in
`FEATURES`.
"""

import dataclasses

import numpy as np

from fer_lib.data import exploration, splits
from fer_lib.screen import progress

FOLDS = 5


def out_of_fold_probabilities(
    faces, features, *, folds=FOLDS, near_duplicates=True, strength=0.01, seed=0
):
    """Return what a classifier says of each face that was fitted on the other folds.

    Multinomial logistic regression on standardised features. Folds share no group, no identical
    and (where asked for) no nearly identical image, so a wrong label is not read off its copy.

    Args:
        faces: `Faces`.
        features: Float array of shape `(n, d)`, made without the labels; see `FEATURES`.
        folds: Number of folds.
        near_duplicates: Whether near-duplicates stay in one fold.
        strength: Inverse of the L2 penalty (scikit-learn's C).
        seed: Seed of the folds.

    Returns:
        `float64` array of shape `(n, classes)`, rows summing to 1.

    Raises:
        ValueError: If features have another length, are not finite, or a class has too few
            independent faces for the folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.asarray(features)
    if features.ndim != 2 or len(features) != len(faces) or not np.isfinite(features).all():
        raise ValueError(
            f"features must be finite, of shape ({len(faces)}, d), a row per face; got shape "
            f"{features.shape}."
        )
    probabilities = np.zeros((len(faces), len(faces.label_set)))
    # The folds' ids become row numbers.
    numbered = dataclasses.replace(faces, ids=np.arange(len(faces)))
    parts = splits.kfold(numbered, folds, near_duplicates=near_duplicates, seed=seed)
    for rest, held in progress(parts, "folds", total=folds):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
        model.fit(features[rest.ids], rest.classes)
        columns = model[-1].classes_
        probabilities[held.ids[:, None], columns] = model.predict_proba(features[held.ids])
    return probabilities


def label_issues(faces, probabilities, *, method="self_confidence"):
    """Rank the faces by how much their label is to be doubted (confident learning).

    Northcutt et al., Confident Learning, 2021, https://arxiv.org/abs/1911.00068, by cleanlab.

    Args:
        faces: `Faces` in which every class of the label set occurs.
        probabilities: Float array of shape `(n, classes)`: out of fold, or the ranking finds only
            what the classifier did not learn by heart.
        method: Cleanlab's score: `"self_confidence"`, `"normalized_margin"` or
            `"confidence_weighted_entropy"`.

    Returns:
        `DataFrame`, the most doubtful label first, with the columns `row` (place in `faces`),
        `id`, `label`, `suggested` (the most probable emotion), `quality` (0 to 1, low is
        doubtful) and `issue` (whether confident learning calls it an error).

    Raises:
        ImportError: If cleanlab is missing.
        ValueError: If shapes do not fit or a class has no faces.
    """
    import pandas as pd

    cleanlab_filter, rank = _cleanlab()
    classes, probabilities = faces.classes, np.asarray(probabilities, float)
    label_set = np.array(faces.label_set)
    if probabilities.shape != (len(faces), len(label_set)):
        raise ValueError(
            f"probabilities must have shape {(len(faces), len(label_set))}; got "
            f"{probabilities.shape}."
        )
    if missing := [name for name, count in faces.class_counts().items() if not count]:
        raise ValueError(
            f"Every class must have faces to judge labels by; {faces.name} has none of "
            f"{', '.join(missing)}. Leave them out with drop."
        )
    # Adjusting for each class's own confidence finds fewer errors than chance does on FER-2013,
    # whose rare classes then stand first: cleanlab's default, unadjusted.
    quality = rank.get_label_quality_scores(classes, probabilities, method=method)
    issue = cleanlab_filter.find_label_issues(classes, probabilities, n_jobs=1)
    table = pd.DataFrame(
        {
            "row": np.arange(len(faces)),
            "id": faces.ids,
            "label": label_set[classes],
            "suggested": label_set[probabilities.argmax(axis=1)],
            "quality": quality,
            "issue": issue,
        }
    )
    return table.sort_values(["quality", "row"], ignore_index=True)


def contact_sheet(faces, issues):
    """Return the faces of a ranking with given and suggested label, for `plots.plot_faces`.

    Args:
        faces: `Faces`.
        issues: Table of `label_issues`, or some rows of it.

    Returns:
        `(images, captions)`: `uint8` array of shape `(n, height, width)` and a list of strings,
        in the order of the table.
    """
    rows = issues.itertuples()
    captions = [f"{row.label} →\n{row.suggested}?\nquality {row.quality:.2f}" for row in rows]
    return faces.images[issues.row], captions


def vote_errors(faces, votes):
    """Tell which labels FER+'s taggers contradict.

    Args:
        faces: `Faces` with FER-2013's labels.
        votes: Integer array of shape `(n, 10)` in the order of `ferplus.COLUMNS`.

    Returns:
        `(error, judged)`: `bool` arrays of shape `(n,)`: whether the majority of the votes
        (`exploration.voted`, eight emotions) is another emotion; and whether there is a majority.
    """
    names = np.append(exploration.VOTED, "")
    majority = names[exploration.voted(votes)]
    judged = majority != ""
    return judged & (majority != np.array(faces.label_set)[faces.classes]), judged


def precision_at_k(error, ks=(100, 500, 1000, 2000, 5000), *, confidence=0.95):
    """Return the share of true errors among the first k faces of a ranking.

    Args:
        error: `bool` array of shape `(n,)` in the order of the ranking, the most doubtful first.
        ks: Lengths of the list. Those beyond n are left out.
        confidence: Coverage of the intervals (Wilson's, of k independent faces).

    Returns:
        `DataFrame` with the columns `k`, `errors`, `precision`, `low`, `high` and `found` (the
        share of all errors that stand among the first k). `error.mean()` is what a ranking at
        random would reach.

    Raises:
        ValueError: If no k fits.
    """
    import pandas as pd
    from scipy.stats import binomtest

    error = np.asarray(error, bool)
    ks = [k for k in ks if 1 <= k <= len(error)]
    if not ks:
        raise ValueError(f"k must lie between 1 and the number of faces, {len(error)}.")
    rows = []
    for k in ks:
        found = int(error[:k].sum())
        low, high = binomtest(found, k).proportion_ci(confidence, method="wilson")
        share = found / max(1, int(error.sum()))
        rows.append((k, found, found / k, low, high, share))
    return pd.DataFrame(rows, columns=["k", "errors", "precision", "low", "high", "found"])


def _cleanlab():
    try:
        from cleanlab import filter as cleanlab_filter
        from cleanlab import rank
    except ImportError as error:
        raise ImportError(
            f'Ranking labels needs cleanlab: pip install -e ".[noise]" ({error}).'
        ) from None
    return cleanlab_filter, rank
