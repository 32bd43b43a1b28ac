"""Shipping a classifier: small files of a run, scored one by one, and their model card."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lib import storage
from fer_lib.evaluation import bootstrap, calibration, confusion, metrics
from fer_lib.experiments import given, human, published, whom
from fer_lib.experiments.experiment import Experiment
from fer_lib.inference.formats import export, load_predictor
from fer_lib.inference.honest_use import MEANING, RESTRICTIONS
from fer_lib.inference.predictor import sidecar

FORMATS = ("keras", "litert_float16", "litert_int8")
_CONFUSIONS = 6
_ENDS = (("value", ""), ("low", "_low"), ("high", "_high"))


def ship(run, folder, *, name="classifier", formats=None, cross=None, people=None, data=None):
    """Export a run, score every file on validation and test, and write the model card.

    Which file to use is to be chosen by the validation columns.

    Args:
        run: A finished `Run`.
        folder: Where the files go: those of `formats.export`, data set and test scores in the
            JSON file beside each, and `<name>.md`, the card.
        name: What the files' names start with.
        formats: Keys of `formats.FORMATS`; by default `FORMATS`.
        cross: Rows of `cross_dataset.cross_table` for this run, which the card repeats, or `None`.
        people: Tables of `whom.groups_of_run`, which the card repeats, or `None`: then it says
            that nothing is known.
        data: Dict of `Faces` that the run was made of; its data set is loaded again if `None`.

    Returns:
        `pandas.DataFrame`, one row per file: `file_mb`, `same_label` (share of test faces with
        the run's own answer), and of both splits accuracy, macro-F1 and log loss.

    Raises:
        BlockingIOError: If another process writes these files.
        ValueError: If the run is not finished or its data has changed.
    """
    with storage.locked(Path(folder) / f"{name}.md"):
        return _ship(run, folder, name, formats, cross, people, data)


def _ship(run, folder, name, formats, cross, people, data):
    if not run.finished:
        raise ValueError(f"{run.folder} is not finished: give its papermill command again.")
    data = given.check(run.experiment.load_data() if data is None else data)
    if not np.array_equal(data["test"].ids, run.predictions["ids"]):
        raise ValueError(
            f"{data['test'].name} does not hold the faces that {run.folder} scored: restore the "
            "data, or pass the run's own faces as data."
        )
    formats = FORMATS if formats is None else formats
    model, temperature = _calibrated(run, data["validation"])
    labels = data["test"].label_set
    paths = export(
        model, folder, formats=formats, calibration=data["train"], label_set=labels, name=name
    )
    rows, scores = {}, {}
    for path in paths.values():
        rows[path.name], scores[path.name] = _score_file(path, run, data)
        about = storage.read_json(sidecar(path)) | {
            "source": published.public_name(run),
            "trained_on": published.without_places(run.experiment).dataset,
            "temperature": temperature,
            "test_name": data["test"].name,
            "test": scores[path.name],
        }
        storage.write_json(sidecar(path), about)
    table = pd.DataFrame.from_dict(rows, orient="index")
    with storage.replacing(Path(folder) / f"{name}.md") as path:
        size = data["test"].images.shape[1:]
        card = write_card(run, name, scores, table, temperature, size, cross, people)
        path.write_text(card, encoding="utf-8")
    return table


def _calibrated(run, validation):
    """Return the run's model and its temperature; a run of an earlier version has none yet."""
    model = run.model()
    if "temperature" in run.scores:
        return model, run.scores["temperature"]
    answers = run.predictions["validation_probabilities"]
    temperature = calibration.fit_temperature(validation.targets, answers)
    calibration.store_temperature(model, temperature)
    return model, temperature


def _score_file(path, run, data):
    predictor = load_predictor(path)
    answers = {split: predictor.predict(data[split].images) for split in ("validation", "test")}
    same = answers["test"].argmax(axis=1) == run.predictions["probabilities"].argmax(axis=1)
    row = {"file_mb": path.stat().st_size / 1e6, "same_label": float(same.mean())}
    for split, probabilities in answers.items():
        for metric in ("accuracy", "macro_f1", "log_loss"):
            row[f"{split}_{metric}"] = metrics.METRICS[metric](data[split].classes, probabilities)
    test = data["test"]
    groups, _ = given.resampled(test)
    return row, metrics.score(test.classes, answers["test"], test.label_set, groups=groups)


def write_card(run, name, scores, table, temperature, face_size, cross=None, people=None):
    """Return the model card as Markdown (Mitchell et al. 2019, arXiv:1810.03993).

    Args:
        run: The `Run` that the files came from.
        name: The model's name.
        scores: Dict from file name to `metrics.score` on test.
        table: What `ship` returns.
        temperature: What the logits were divided by, fitted on validation.
        face_size: `(height, width)` of the faces that it takes, and 3 for RGB.
        cross, people: See `ship`.
    """
    test = next(iter(scores.values()))
    labels = ", ".join(test["per_class"])
    drawn = f"{test['groups']:,} groups of faces" if "groups" in test else "faces"
    parts = [
        f"# {name}",
        MEANING.format(labels=labels),
        f"Input: {'RGB' if face_size[2:] else 'grey'} faces, `uint8` "
        f"`(n, {', '.join(map(str, face_size))})`, 0 to 255. Output: `float32` "
        f"`(n, {len(test['per_class'])})`, probabilities in the order {labels}.",
        "## How it was made",
        _origin(run),
        f"## Scores on {run.scores['test_name']} (n = {test['n']:,})",
        f"The epoch was chosen on validation. Intervals are 95 % bootstrap intervals over {drawn} "
        "of one run; they hold nothing of the spread between seeds.",
        _file_lines(scores, table, human.score_of(run)),
        f"### Per class, of {next(iter(scores))}",
        _class_lines(test),
        "### Calibration",
        _calibration_lines(run, test, temperature),
        "### Most frequent errors",
        _confusion_lines(test),
        "" if cross is None else _cross_lines(cross),
        "## Whom it fails",
        _people_lines(run, people),
        "## What it must not be used for",
        RESTRICTIONS.partition("\n")[2],
        "## Licence",
        "The weights are this project's own training (MIT). They were fitted on photographs "
        "that belong to their owners and come for research use; see the data set's card "
        f"(`python -m fer_lib describe {published.without_places(run.experiment).dataset}`).",
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _people_lines(run, people):
    """Return what is known of the groups of people that a model fails, and what is not."""
    if not people:
        return whom.UNKNOWN.format(data=run.scores["test_name"])
    return f"On {run.scores['test_name']}.\n\n{whom.in_markdown(people)}"


def _origin(run):
    data, git = run.environment["data"], run.environment.get("git")  # None outside a checkout
    version = run.environment.get("packages", {}).get("fer_lib", "of an unknown version")
    lines = [f"- {split}: {of['name']}, n = {of['n']:,}" for split, of in data.items()]
    lines += [f"- started from: {run.scores['weights']}"]
    lines += [
        f"- taught by: {of['name']}, sha256 {of['sha256'][:12]}, trained on: {of['trained_on']}"
        for of in run.scores.get("teachers", ())
    ]
    lines += [
        f"- epoch {run.scores['best_epoch']} of {len(run.history)}, chosen by "
        f"{run.scores['selected_by']}; seed {run.experiment.seed}; fer_lib "
        + (f"at commit {git['commit']}" if git else version),
        f"- run folder: `{published.public_name(run)}`",
    ]
    return "\n".join(
        [*lines, "", "```bash", command(published.without_places(run.experiment)), "```"]
    )


def command(experiment):
    """Return the papermill command of an experiment, with the parameters not at their defaults.

    >>> command(Experiment(dataset="synthetic", epochs=3))
    'papermill notebooks/run_experiment.ipynb out.ipynb -p dataset synthetic -p epochs 3'
    """
    defaults = Experiment()
    given = {
        field.name: value
        for field in dataclasses.fields(experiment)
        if (value := getattr(experiment, field.name)) != getattr(defaults, field.name)
    }
    words = [f"-p {name} {value}" for name, value in given.items()]
    return " ".join(["papermill notebooks/run_experiment.ipynb out.ipynb", *words])


def _file_lines(scores, table, people):
    shown = ("accuracy", "macro_f1", "log_loss")
    lines = ["| file | MB | accuracy | macro-F1 | log loss |", "|---|--:|---|---|---|"]
    for file, of in scores.items():
        cells = [bootstrap.in_words(of[metric]) for metric in shown]
        lines.append(f"| {file} | {table.loc[file, 'file_mb']:.1f} | {' | '.join(cells)} |")
    if people:
        cells = [bootstrap.in_words(people[metric]) for metric in shown[:2]]
        lines.append(f"| {human.NAME} | – | {' | '.join(cells)} | – |")
    return "\n".join(lines)


def _class_lines(test):
    from scipy.stats import binomtest

    lines = ["| class | n | recall | precision | F1 |", "|---|--:|---|--:|---|"]
    for label, of in test["per_class"].items():
        found = round(of["recall"] * of["n"])
        ends = binomtest(found, of["n"]).proportion_ci(method="wilson") if of["n"] else (0, 1)
        recall = bootstrap.in_words({"value": of["recall"], "low": ends[0], "high": ends[1]})
        f1 = bootstrap.in_words({"value": of["f1"], "low": of["f1_low"], "high": of["f1_high"]})
        lines.append(f"| {label} | {of['n']} | {recall} | {of['precision']:.3f} | {f1} |")
    return "\n".join([*lines, "", _CLASS_NOTE])


_CLASS_NOTE = (
    f"Recall with Wilson intervals, F1 with bootstrap intervals; under {confusion.FEW} faces are "
    "too few for these."
)


def _calibration_lines(run, test, temperature):
    probabilities = run.predictions["probabilities"]
    if "temperature" in run.scores:
        probabilities = calibration.apply_temperature(probabilities, 1 / temperature)
    before = metrics.expected_calibration_error(run.predictions["labels"], probabilities)
    after = bootstrap.in_words(test["expected_calibration_error"])
    return (
        f"Logits were divided by {temperature:.2f}, which no answer changes. It was fitted to "
        "the targets of validation, which are the votes where the model was trained on votes. "
        "Expected calibration error against the most voted or only label of the test faces: "
        f"{before:.3f} before, {after} after."
    )


def _confusion_lines(test):
    labels, counts = list(test["per_class"]), np.array(test["confusion"])
    np.fill_diagonal(counts, 0)
    worst = np.argsort(-counts, axis=None, kind="stable")[:_CONFUSIONS]
    cells = [np.unravel_index(place, counts.shape) for place in worst]
    return "\n".join(
        f"- {labels[true]} taken for {labels[guess]}: {counts[true, guess]} of "
        f"{test['per_class'][labels[true]]['n']}"
        for true, guess in cells
        if counts[true, guess]
    )


def _cross_lines(cross):
    lines = [
        "## On other data sets",
        "",
        "Over the emotions that model and data set share; faces of other emotions are left out.",
        "",
        "| faces | n | emotions | accuracy | macro-F1 | left out | seen in training |",
        "|---|--:|--:|---|---|---|--:|",
    ]
    for row in cross.to_dict("records"):
        cells = [
            bootstrap.in_words({key: row[metric + end] for key, end in _ENDS})
            for metric in ("accuracy", "macro_f1")
        ]
        left = row["left_out"] if isinstance(row["left_out"], str) and row["left_out"] else "none"
        seen = "not known" if pd.isna(row["seen"]) else int(row["seen"])
        scores = " | ".join(cells)
        lines.append(
            f"| {row['test']} | {row['n']:,} | {row['emotions']} | {scores} | {left} | {seen} |"
        )
    return "\n".join(lines)


def read_cross(path, run):
    """Return a run's rows of a table that `notebooks/cross_dataset.ipynb` wrote.

    Args:
        path: CSV file.
        run: The `Run`.

    Raises:
        ValueError: If it has none.
    """
    table = pd.read_csv(path)
    own = table["model"].str.startswith(run.label())
    rows = table[own & (table["trained_on"] == run.experiment.dataset)]
    if rows.empty:
        raise ValueError(
            f"{path} has no row of {run.label()}, trained on {run.experiment.dataset}."
        )
    return rows
