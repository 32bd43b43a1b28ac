"""Each emotion against all others: how well its probability ranks the faces.

No threshold and no competition between emotions enters: what is judged is the order in which one
column of the probabilities puts the faces. The formulas are scikit-learn's.
"""

from fer_lib.evaluation import metrics


def ranking_table(labels, probabilities, label_set):
    """Tabulate the area under each emotion's ROC curve and its average precision.

    Args:
        labels: Integer array of shape `(n,)`, values in `[0, classes)`.
        probabilities: Float array of shape `(n, classes)`, rows summing to 1.
        label_set: Emotion names in the order of the class numbers.

    Returns:
        `pandas.DataFrame`, one row an emotion and one for their mean (macro average): `n` faces
        of the emotion, `roc_auc` (0.5 by chance) and `average_precision` (n / all faces by
        chance). Missing for an emotion that no face or every face has, and left out of the mean.

    Raises:
        ValueError: If the three do not fit together; see `metrics.score`.
    """
    import pandas as pd
    from sklearn.metrics import average_precision_score, roc_auc_score

    rows = {}
    for emotion, (is_it, p) in _columns(labels, probabilities, label_set).items():
        rows[emotion] = {"n": int(is_it.sum())}
        if _told_apart(is_it):
            rows[emotion]["roc_auc"] = roc_auc_score(is_it, p)
            rows[emotion]["average_precision"] = average_precision_score(is_it, p)
    columns = ["n", "roc_auc", "average_precision"]
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)
    mean = table[columns[1:]].mean()
    table.loc["mean"] = {"n": table["n"].sum()} | mean.to_dict()
    return table.astype({"n": int}).rename_axis("emotion")


def roc_curves(labels, probabilities, label_set):
    """Return the ROC curve of each emotion, for `plots.plot_roc`.

    Args:
        labels, probabilities, label_set: As of `ranking_table`.

    Returns:
        `{emotion: {"false_positive_rate", "true_positive_rate": float arrays, "area": float}}`
        without the emotions that no face or every face has.
    """
    from sklearn.metrics import auc, roc_curve

    curves = {}
    for emotion, (is_it, p) in _columns(labels, probabilities, label_set).items():
        if _told_apart(is_it):
            false, true, _ = roc_curve(is_it, p)
            area = float(auc(false, true))
            curves[emotion] = {"false_positive_rate": false, "true_positive_rate": true}
            curves[emotion]["area"] = area
    return curves


def precision_recall_curves(labels, probabilities, label_set):
    """Return the precision-recall curve of each emotion, for `plots.plot_precision_recall`.

    Args:
        labels, probabilities, label_set: As of `ranking_table`.

    Returns:
        `{emotion: {"recall", "precision": float arrays, "average_precision", "share": float}}`
        without the emotions that no face or every face has; `share` is the emotion's share of
        the faces, the precision that chance reaches.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    curves = {}
    for emotion, (is_it, p) in _columns(labels, probabilities, label_set).items():
        if _told_apart(is_it):
            precision, recall, _ = precision_recall_curve(is_it, p)
            curves[emotion] = {
                "recall": recall,
                "precision": precision,
                "average_precision": float(average_precision_score(is_it, p)),
                "share": float(is_it.mean()),
            }
    return curves


def _columns(labels, probabilities, label_set):
    """Return `{emotion: (whether each face has it, its probability of each face)}`."""
    labels, probabilities = metrics.checked(labels, probabilities, label_set)
    return {
        emotion: (labels == number, probabilities[:, number])
        for number, emotion in enumerate(label_set)
    }


def _told_apart(is_it):
    return 0 < is_it.sum() < len(is_it)
