"""Checks of what was scored and how: the epoch, the classes, the metric.

To add one: write it here, on plain arrays, and list it in `CHECKS`.
"""

import numpy as np

from fer_lib import storage
from fer_lib.audit.finding import Check, Finding
from fer_lib.evaluation import confusion, metrics


def selection(scores, predictions):
    """Check that the epoch was chosen on a split that is not the reported one.

    Args:
        scores: Dict of a run's `scores.json`.
        predictions: Dict of a run's `predictions.npz`.
    """
    by, check = scores.get("selected_by", ""), "selection of the epoch"
    if not len(predictions.get("validation_ids", ())):
        text = "There is no validation split: hold one out (splits.holdout) to choose the epoch on."
        return Finding(check, "fail", {"validation": 0, "selected_by": by}, text)
    rows = {
        prefix: {
            (identity, probabilities.tobytes())
            for identity, probabilities in zip(
                predictions[f"{prefix}ids"].tolist(),
                predictions[f"{prefix}probabilities"],
                strict=True,
            )
        }
        for prefix in ("", "validation_")
    }
    shared = len(rows[""] & rows["validation_"])
    figures = {"validation": len(rows["validation_"]), "shared with test": shared}
    figures["selected_by"] = by
    if not by.startswith("val_"):
        text = f"The epoch was selected by {by or 'nothing recorded'!r}, not on validation."
        return Finding(check, "fail", figures, text)
    if shared or scores.get("test_name") == scores.get("validation_name"):
        text = (
            f"The epoch was selected on the reported split ({scores.get('test_name')}; {shared:,} "
            "rows in common): the score is the best of many looks. Select on other rows."
        )
        return Finding(check, "fail", figures, text)
    text = f"The epoch was selected by {by} on {scores.get('validation_name')}, apart from test."
    return Finding(check, "pass", figures, text)


def score_without_duplicates(labels, probabilities, duplicated):
    """Check that the accuracy does not rest on test faces with a copy in train.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities: Float array of shape `(n, classes)`.
        duplicated: Boolean array of shape `(n,)`: test faces that train holds, exactly or nearly.
    """
    right = probabilities.argmax(axis=1) == labels
    if not duplicated.any() or duplicated.all():
        n = int(duplicated.sum())
        text = f"{n:,} of {len(labels):,} test faces have a copy in train: there is no comparison."
        return Finding("score without duplicates", "fail" if n else "pass", {"copies": n}, text)
    figures = {
        "copies": int(duplicated.sum()),
        "accuracy": round(float(right.mean()), 4),
        "accuracy without copies": round(float(right[~duplicated].mean()), 4),
        "accuracy on copies": round(float(right[duplicated].mean()), 4),
    }
    gain = right.mean() - right[~duplicated].mean()
    text = (
        f"Accuracy is {right.mean():.4f} on all test faces, {right[~duplicated].mean():.4f} "
        f"without the {duplicated.sum():,} that have a copy in train."
    )
    # One point is what papers on this benchmark claim as progress.
    return Finding("score without duplicates", "warn" if gain > 0.01 else "pass", figures, text)


def class_collapse(labels, probabilities, label_set):
    """Check that predictions are spread over the classes and beat the majority class.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities: Float array of shape `(n, classes)`.
        label_set: Emotion names in the order of the class numbers.
    """
    classes, n = len(label_set), len(labels)
    true = np.bincount(labels, minlength=classes) / n
    predicted = np.bincount(probabilities.argmax(axis=1), minlength=classes) / n
    top = int(predicted.argmax())
    never = [e for e, p, t in zip(label_set, predicted, true, strict=True) if t and not p]
    accuracy = metrics.accuracy(labels, probabilities)
    figures = {
        "most predicted": label_set[top],
        "its share of predictions": round(float(predicted[top]), 4),
        "its share of labels": round(float(true[top]), 4),
        "never predicted": never,
        "accuracy": round(accuracy, 4),
        "share of the majority class": round(float(true.max()), 4),
    }
    text = f"{label_set[top]!r} makes up {predicted[top]:.0%} of the predictions"
    if predicted[top] > 0.6 and predicted[top] > true[top] + 0.1:
        text += f" and {true[top]:.0%} of the labels: the model has collapsed. See the input range."
        return Finding("class collapse", "fail", figures, text)
    if accuracy <= true.max():
        text += f"; accuracy {accuracy:.3f} is no better than always naming the majority class"
        return Finding("class collapse", "fail", figures, f"{text} ({true.max():.3f}).")
    if never:
        return Finding("class collapse", "warn", figures, f"{text}; never: {', '.join(never)}.")
    return Finding("class collapse", "pass", figures, f"{text}; every class is predicted.")


def class_order(labels, probabilities, model_labels, data_labels):
    """Check that model and data set number the classes alike.

    The names decide where both have them. A model that was trained with another order shows it
    in its predictions as well: renaming its classes makes it much better.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities: Float array of shape `(n, classes)`.
        model_labels, data_labels: Emotion names in the order of their class numbers.
    """
    from scipy.optimize import linear_sum_assignment

    check, figures = "label map", {"model": list(model_labels), "data": list(data_labels)}
    if list(model_labels) != list(data_labels):
        text = f"The model's classes are {', '.join(model_labels)}, the data set's are "
        text += f"{', '.join(data_labels)}: map them by name (emotions.translate)."
        return Finding(check, "fail", figures, text)
    counts = metrics.confusion_matrix(labels, probabilities)
    true, named = linear_sum_assignment(-counts)
    best, accuracy = counts[true, named].sum() / len(labels), np.trace(counts) / len(labels)
    majority = counts.sum(axis=1).max() / len(labels)
    figures |= {"accuracy": round(float(accuracy), 4), "best renamed": round(float(best), 4)}
    if best > accuracy + 0.1 and best > majority + 0.05:
        renamed = ", ".join(
            f"{data_labels[n]} is {data_labels[t]}"
            for t, n in zip(true, named, strict=True)
            if t != n
        )
        text = f"Renaming the model's classes ({renamed}) lifts accuracy from {accuracy:.3f} to "
        text += f"{best:.3f}: it was trained with another order of classes."
        return Finding(check, "fail", figures, text)
    text = f"Model and data set have one order of classes ({', '.join(data_labels)})."
    return Finding(check, "pass", figures, text)


def reported_accuracy(reported, labels, probabilities, where):
    """Check that a reported accuracy is the categorical one of the predictions.

    Binary accuracy counts each of the classes' yes or no: always answering no scores 6/7 in seven
    classes.

    Args:
        reported: The figure.
        labels: Integer array of shape `(n,)`.
        probabilities: Float array of shape `(n, classes)`.
        where: Where the figure stands.
    """
    truth = np.arange(probabilities.shape[1]) == labels[:, None]
    binary = float(((probabilities > 0.5) == truth).mean())
    categorical = metrics.accuracy(labels, probabilities)
    figures = {"reported": reported, "categorical": categorical, "binary": binary}
    figures = {name: round(float(value), 4) for name, value in figures.items()}
    check = f"accuracy in {where}"
    # A face or two may tie or change sides between batch sizes.
    slack = max(0.002, 2.5 / len(labels))
    if abs(reported - categorical) <= slack:
        text = f"The accuracy in {where}, {reported:.4f}, is that of the predictions."
        return Finding(check, "pass", figures, text)
    text = f"The accuracy in {where} is {reported:.4f}, that of the predictions {categorical:.4f}"
    if abs(reported - binary) <= slack:
        text += ": it is the binary accuracy. Use keras.metrics.CategoricalAccuracy"
    return Finding(check, "fail", figures, f"{text}.")


def recomputed(scores, labels, probabilities, where):
    """Check that every score that was written down is that of the answers.

    Args:
        scores: Dict of `metrics.score`, as read from a file.
        labels: Integer array of shape `(n,)`.
        probabilities: Float array of shape `(n, classes)`.
        where: Which faces these are.
    """
    counts = metrics.confusion_matrix(labels, probabilities)
    true = {"n": len(labels)} | {k: of(labels, probabilities) for k, of in metrics.METRICS.items()}
    told = {"n": scores.get("n")}
    told |= {name: (scores.get(name) or {}).get("value") for name in metrics.METRICS}
    for place, (emotion, of) in enumerate(scores.get("per_class", {}).items()):
        rates = confusion.rates(counts)
        true |= {f"{name} of {emotion}": values[place] for name, values in rates.items()}
        told |= {f"{name} of {emotion}": of.get(name) for name in rates}
    wrong = [
        name
        for name, value in told.items()
        if value is not None and not abs(value - true[name]) < 1e-6
    ]
    if scores.get("confusion") is not None and scores["confusion"] != counts.tolist():
        wrong.append("confusion")
    check, figures = f"scores of {where}", {"recomputed": len(told) + 1, "other": wrong}
    figures |= {
        name: {"written": told[name], "recomputed": float(true[name])}
        for name in wrong
        if name in told
    }
    if not wrong:
        text = f"All {len(told) + 1} figures of scores.json on {where} are those of the answers."
        return Finding(check, "pass", figures, text)
    text = f"scores.json on {where} does not hold what the answers give: {', '.join(wrong[:5])}"
    text += f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return Finding(check, "fail", figures, f"{text}. Score the answers again (metrics.score).")


def own_files(recorded, found):
    """Check that a run's files are those that it was scored with.

    Args:
        recorded: `{file name: sha256}` as the run wrote it down.
        found: The same of the files that lie there, `None` for one that is missing.
    """
    figures = {name: {"recorded": of, "found": found.get(name)} for name, of in recorded.items()}
    other = [name for name, of in recorded.items() if found.get(name) not in (None, of)]
    if not other:
        text = f"{', '.join(recorded)} are the files that the run wrote."
        return Finding("files", "pass", figures, text)
    text = f"{', '.join(other)}: not the file that the run wrote. The scores are not of it."
    return Finding("files", "fail", figures, text)


def labels_of_the_data(labels, by_id):
    """Check that each scored face has the label that the data gives to its id.

    Args:
        labels: Integer array of shape `(n,)`: as scored.
        by_id: The same, looked up in the data by the ids that were scored.
    """
    other = int((labels != by_id).sum())
    figures = {"scored": len(labels), "with another label": other}
    text = f"{other:,} of {len(labels):,} scored faces have another label than the data gives them"
    if not other:
        return Finding("labels", "pass", figures, f"{text}.")
    text += ": ids, labels or their order are not those of the data."
    return Finding("labels", "fail", figures, text)


def chosen_epoch(epoch, values, monitor):
    """Check that the epoch is the best one of the history.

    Args:
        epoch: Number of the epoch, from 1.
        values: What was monitored, one number an epoch.
        monitor: Its name; of a loss the least is the best.
    """
    values = np.asarray(values, np.float64)
    best = int(values.argmin() if monitor.endswith("loss") else values.argmax()) + 1
    figures = {"recorded": epoch, "best": best, "monitor": monitor}
    if epoch == best:
        return Finding("epoch", "pass", figures, f"Epoch {best} has the best {monitor}.")
    text = f"scores.json says epoch {epoch}, but {monitor} is best in epoch {best} of history.csv."
    return Finding("epoch", "fail", figures, text)


def monitored(monitor, columns):
    """Check that what chose the epoch was measured.

    Args:
        monitor: Name of the monitored figure.
        columns: Names of the columns of `history.csv`.
    """
    figures = {"monitor": monitor, "columns": list(columns)}
    if monitor in figures["columns"]:
        return Finding("monitor", "pass", figures, f"{monitor} was measured after every epoch.")
    text = f"{monitor} chose the epoch but history.csv has no such column: callbacks that watch "
    return Finding("monitor", "fail", figures, f"{text}nothing do nothing.")


def macro_f1_gap(labels, probabilities):
    """Check that macro-F1 is not far below accuracy.

    Args:
        labels: Integer array of shape `(n,)`.
        probabilities: Float array of shape `(n, classes)`.
    """
    accuracy = metrics.accuracy(labels, probabilities)
    macro_f1 = metrics.macro_f1(labels, probabilities)
    figures = {"accuracy": round(accuracy, 4), "macro_f1": round(macro_f1, 4)}
    text = f"Accuracy {accuracy:.3f}, macro-F1 {macro_f1:.3f}"
    if accuracy - macro_f1 <= 0.1:
        return Finding("macro-F1", "pass", figures, f"{text}.")
    text += ": the rare classes are not recognised. Report macro-F1 beside accuracy."
    return Finding("macro-F1", "warn", figures, text)


def scored_subset(scored, held, skipped):
    """Check that the whole split was scored.

    Args:
        scored: Number of faces that were scored.
        held: Number of faces of the split.
        skipped: Number of rows that reading the source left out.
    """
    figures = {"scored": scored, "faces of the split": held, "rows left out on reading": skipped}
    text = f"{scored:,} of {held:,} test faces were scored"
    if scored != held:
        text += ": the score is of another set of faces. Score every face."
        return Finding("scored faces", "fail", figures, text)
    if skipped > 0.01 * (held + skipped):
        text += f", but reading the source left out {skipped:,} rows: say so beside the score."
        return Finding("scored faces", "warn", figures, text)
    return Finding("scored faces", "pass", figures, f"{text}; {skipped:,} rows were left out.")


def _without_duplicates(evidence):
    scored = evidence.scored
    if (scored < 0).any():
        return None
    copies = np.isin(evidence.near["test"][scored], evidence.near["train"])
    return score_without_duplicates(evidence.labels, evidence.probabilities, copies)


def _labels(evidence):
    scored = evidence.scored
    if (scored < 0).any():
        return None
    return labels_of_the_data(evidence.labels, evidence.parts["test"].classes[scored])


def _validation(evidence):
    of = evidence.run.predictions
    if not len(of.get("validation_ids", ())):
        return None
    answers = of["validation_labels"], of["validation_probabilities"]
    return recomputed(evidence.run.scores["validation"], *answers, "validation")


def _files(evidence):
    recorded, folder = evidence.run.environment.get("files"), evidence.run.folder
    if not recorded:  # a run of an earlier version
        return None
    there = [name for name in recorded if (folder / name).exists()]
    return own_files(recorded, {name: storage.file_hash(folder / name) for name in there})


def _epoch(evidence):
    run, monitor = evidence.run, evidence.run.experiment.monitor
    if monitor not in run.history:
        return None
    return chosen_epoch(run.scores.get("best_epoch"), run.history[monitor], monitor)


def _accuracy_of_the_epoch(evidence):
    run, of = evidence.run, evidence.run.predictions
    if not len(of.get("validation_ids", ())) or "val_accuracy" not in run.history:
        return None
    reported = float(run.history.val_accuracy[run.scores["best_epoch"] - 1])
    validation = of["validation_labels"], of["validation_probabilities"]
    return reported_accuracy(reported, *validation, "history.csv")


CHECKS = (
    Check("L1.1", ("run",), lambda e: selection(e.run.scores, e.run.predictions)),
    Check("L1.4", ("data", "run"), _without_duplicates),
    Check(
        "L3.3",
        ("data", "run"),
        lambda e: scored_subset(len(e.labels), len(e.parts["test"]), len(e.parts["test"].skipped)),
    ),
    Check(
        "",
        ("data", "run"),
        lambda e: class_order(e.labels, e.probabilities, e.label_set, e.parts["test"].label_set),
    ),
    Check("", ("run",), lambda e: class_collapse(e.labels, e.probabilities, e.label_set)),
    Check(
        "",
        ("run",),
        lambda e: reported_accuracy(
            e.run.scores["test"]["accuracy"]["value"], e.labels, e.probabilities, "scores.json"
        ),
    ),
    Check("", ("run",), _accuracy_of_the_epoch),
    Check(
        "",
        ("run",),
        lambda e: recomputed(e.run.scores["test"], e.labels, e.probabilities, "test"),
    ),
    Check("", ("run",), _validation),
    Check("", ("run",), _files),
    Check("", ("data", "run"), _labels),
    Check("", ("run",), _epoch),
    Check("", ("run",), lambda e: monitored(e.run.experiment.monitor, e.run.history.columns)),
    Check("", ("run",), lambda e: macro_f1_gap(e.labels, e.probabilities)),
)
