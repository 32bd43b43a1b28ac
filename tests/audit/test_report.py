"""The audit: a clean run and clean data pass; each planted fault turns its own check."""

import dataclasses
import importlib
import json
import shutil

import numpy as np
import pytest

from fer_lib import storage
from fer_lib.audit import report
from fer_lib.audit.evidence import Evidence
from fer_lib.audit.finding import LEAKS
from fer_lib.data.faces import Faces
from fer_lib.data.synthetic import make_faces
from fer_lib.evaluation import metrics
from fer_lib.experiments import runs
from fer_lib.experiments.experiment import Experiment


@pytest.fixture(scope="module")
def parts():
    """Splits of synthetic faces, 32 a class and more, with ids of their own."""
    sizes = {"train": 252, "validation": 224, "test": 224}
    pool = make_faces(sum(sizes.values()), seed=11)
    ends = np.cumsum(list(sizes.values()))[:-1]
    rows = np.split(np.arange(len(pool)), ends)
    return {
        split: dataclasses.replace(pool[some], name=f"synthetic {split}")
        for split, some in zip(sizes, rows, strict=True)
    }


def probabilities_for(labels, seed, right=0.7):
    rng = np.random.default_rng(seed)
    named = np.where(rng.random(len(labels)) < right, labels, rng.integers(0, 7, len(labels)))
    return (0.86 * np.eye(7)[named] + 0.02).astype(np.float32)


def write_run(folder, parts, *, seed=0, right=0.7, columns=("val_macro_f1",), **changes):
    """Write a finished run, all but its model."""
    experiment = Experiment(dataset="synthetic", seed=seed, epochs=2, **changes)
    storage.write_json(folder / "experiment.json", dataclasses.asdict(experiment))
    data = {split: {"sha256": faces.content_hash} for split, faces in parts.items()}
    storage.write_json(folder / "environment.json", {"data": data})
    predictions, scores = {}, {"best_epoch": 2, "weights": "random start"}
    scores["selected_by"] = experiment.monitor
    for split, prefix in (("test", ""), ("validation", "validation_")):
        faces = parts[split]
        probabilities = probabilities_for(faces.classes, seed + 10 * len(prefix), right)
        arrays = {"ids": faces.ids, "labels": faces.classes, "probabilities": probabilities}
        predictions |= {f"{prefix}{name}": array for name, array in arrays.items()}
        scores[f"{split}_name"] = faces.name
        scores[split] = metrics.score(faces.classes, probabilities, faces.label_set, resamples=50)
    np.savez(folder / "predictions.npz", **predictions)
    best = scores["validation"]["accuracy"]["value"]
    rows = [f"{e},head,{v},1" + f",0.{e}" * len(columns) for e, v in ((1, 0.3), (2, best))]
    text = "\n".join([",".join(("epoch,stage,val_accuracy,seconds", *columns)), *rows])
    (folder / "history.csv").write_text(text + "\n")
    storage.write_json(folder / "scores.json", scores)
    return runs.load_run(folder)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A tiny saved classifier of raw faces."""
    import keras
    from keras import layers

    inputs = keras.Input((48, 48), dtype="uint8")
    x = layers.Rescaling(1 / 127.5, -1)(layers.Reshape((48, 48, 1))(inputs))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, strides=4)(x))
    path = tmp_path_factory.mktemp("model") / "model.keras"
    keras.Model(inputs, layers.Dense(7, activation="softmax")(x)).save(path)
    return path


@pytest.fixture
def clean(tmp_path, parts, model_file):
    """Three seeds of one experiment, beside a much worse one."""
    for seed in range(3):
        result = write_run(tmp_path / f"run{seed}", parts, seed=seed)
    write_run(tmp_path / "other", parts, right=0.2, backbone="mobilenet")
    shutil.copy(model_file, result.folder / "model.keras")
    hashed = {n: storage.file_hash(result.folder / n) for n in ("model.keras", "predictions.npz")}
    made = result.environment | {"files": hashed}
    storage.write_json(result.folder / "environment.json", made)
    return runs.load_run(result.folder)


def statuses(findings):
    return {finding.check: finding.status for finding in findings}


def rewrite(result, **changes):
    """Change arrays of predictions.npz and read the run anew."""
    np.savez(result.folder / "predictions.npz", **result.predictions | changes)
    return runs.load_run(result.folder)


def test_a_clean_run_passes_every_check(clean, parts):
    found = statuses(report.audit_run(clean, parts))
    assert found.pop("people") == "warn"  # nobody says who was drawn
    assert set(found.values()) == {"pass"}, found
    assert len(found) >= 28  # none of the checks that were there is gone


CHECKS = [
    check
    for name in report.MODULES
    for check in importlib.import_module(f"fer_lib.audit.{name}").CHECKS
]


def test_every_check_keeps_the_contract(clean, parts):
    whole = Evidence(clean, parts)
    assert len(set(CHECKS)) == len(CHECKS)
    for check in CHECKS:
        assert check.leak in ("", *LEAKS) and set(check.needs) <= {"data", "run", "model"}
        found = check.find(whole)
        if found is not None:  # it may have nothing to say
            assert found.status in ("pass", "warn", "fail") and found.check
            assert found.sentence.endswith(".")
            assert json.loads(json.dumps(found.figures)) is not None


def test_clean_data_passes_every_check(parts):
    found = statuses(report.audit_data(parts))
    assert found.pop("people") == "warn"
    assert set(found.values()) == {"pass"}, found
    names = {"identical images", "near-duplicates", "label conflicts", "class sizes"}
    assert found.keys() >= names | {"shortcut: border", "shortcut: JPEG grid"}


def test_shared_subjects_and_planted_copies_fail(parts):
    groups = {split: np.arange(len(faces)) // 4 for split, faces in parts.items()}
    images = parts["train"].images.copy()
    images[:60] = parts["test"].images[:60, :, ::-1]
    train = Faces(images, parts["train"].labels, parts["train"].label_set)
    planted = parts | {"train": train}
    planted = {k: dataclasses.replace(v, groups=groups[k]) for k, v in planted.items()}
    found = statuses(report.audit_data(planted))
    assert found["near-duplicates"] == "fail" and found["identical images"] == "pass"
    assert found["subjects or sequences"] == "fail"
    apart = {
        split: dataclasses.replace(faces, groups=groups[split] + 1000 * place)
        for place, (split, faces) in enumerate(parts.items())
    }
    assert statuses(report.audit_data(apart))["subjects or sequences"] == "pass"


def test_a_run_scored_on_rows_of_train_fails(clean, parts):
    train = parts["train"][:224]
    scored = rewrite(clean, ids=train.ids, labels=train.classes)
    found = {finding.check: finding for finding in report.audit_run(scored, parts)}
    assert found["evaluation rows"].status == "fail"
    assert found["evaluation rows"].figures["of these rows of train"] == 224


def test_a_run_that_reports_its_validation_rows_fails(clean, parts):
    names = ("ids", "labels", "probabilities")
    same = {f"validation_{name}": clean.predictions[name] for name in names}
    assert statuses(report.audit_run(rewrite(clean, **same), parts))["selection of the epoch"] == (
        "fail"
    )


def test_a_run_that_scored_a_part_of_the_test_faces_fails(clean, parts):
    part = {name: clean.predictions[name][:100] for name in ("ids", "labels", "probabilities")}
    assert statuses(report.audit_run(rewrite(clean, **part), parts))["scored faces"] == "fail"


@pytest.mark.slow
def test_what_was_typed_into_the_scores_fails(clean, parts):
    for change, named in (
        ({"macro_f1": {"value": 0.9, "low": 0.8, "high": 1.0}}, "macro_f1"),
        ({"confusion": np.eye(7).tolist()}, "confusion"),
        ({"per_class": clean.scores["test"]["per_class"] | {"happy": {"f1": 0.9}}}, "f1 of happy"),
    ):
        scores = clean.scores | {"test": clean.scores["test"] | change}
        storage.write_json(clean.folder / "scores.json", scores)
        found = {f.check: f for f in report.audit_run(runs.load_run(clean.folder), parts)}
        assert found["scores of test"].status == "fail"
        assert found["scores of test"].figures["other"] == [named]
        assert found["scores of validation"].status == "pass"
    storage.write_json(clean.folder / "scores.json", clean.scores | {"best_epoch": 1})
    found = {f.check: f for f in report.audit_run(runs.load_run(clean.folder), parts)}
    assert found["epoch"].status == "fail" and "best in epoch 2" in found["epoch"].sentence


@pytest.mark.slow
def test_another_run_s_files_and_reversed_ids_fail(clean, parts, tmp_path):
    with open(clean.folder / "model.keras", "ab") as file:
        file.write(b" ")
    found = {f.check: f for f in report.audit_run(runs.load_run(clean.folder), parts)}
    assert found["files"].status == "fail" and "model.keras" in found["files"].sentence
    reversed_ids = rewrite(clean, ids=clean.predictions["ids"][::-1])
    found = statuses(report.audit_run(reversed_ids, parts))
    assert found["labels"] == found["files"] == "fail"


@pytest.mark.slow
def test_an_older_run_with_another_run_s_model_fails(tmp_path, parts, model_file):
    result = write_run(tmp_path / "run", parts)  # made-up answers, and no hashes
    shutil.copy(model_file, result.folder / "model.keras")
    found = {f.check: f for f in report.audit_run(result, parts)}
    assert found["answers"].status == "fail"
    test = parts["test"]
    own = result.model().predict(test.images, verbose=0)
    assert statuses(report.audit_run(rewrite(result, probabilities=own), parts))["answers"] == (
        "pass"
    )


def test_a_run_with_an_unmeasured_monitor_fails(tmp_path, parts):
    result = write_run(tmp_path / "run", parts, columns=("val_acc",))
    assert statuses(report.audit_run(result, parts))["monitor"] == "fail"


def test_a_run_whose_data_changed_fails_and_says_that_the_rest_was_not_checked(clean, parts):
    other = parts | {"test": parts["test"][::-1]}
    findings = report.audit_run(clean, other)
    assert findings[0].check == "data" and findings[0].status == "fail"
    assert "identical images" not in statuses(findings) and "seeds" in statuses(findings)


def test_a_run_whose_data_is_not_there_is_still_checked(tmp_path, parts):
    result = write_run(tmp_path / "run", parts)
    experiment = dataclasses.asdict(result.experiment) | {"dataset": "/nowhere/faces.csv"}
    storage.write_json(tmp_path / "run" / "experiment.json", experiment)
    findings = report.audit(tmp_path / "run")
    assert findings[0].status == "warn" and "could not be read" in findings[0].sentence
    assert statuses(findings)["class collapse"] == "pass"


def test_findings_stand_in_the_order_of_kapoor_and_narayanan(clean, parts):
    findings = report.audit_run(clean, parts)
    kinds = [finding.leak for finding in findings[1:]]  # after whether the data is the run's
    assert kinds == sorted(kinds, key=[*LEAKS, ""].index)
    assert {"L1.1", "L1.4", "L2", "L3.3", ""} <= set(kinds)
    lines = report.report(findings).splitlines()
    assert lines.index("L1.1 no test set of its own") < lines.index("L1.4 duplicates")


def test_one_seed_and_a_rival_inside_noise_are_told(tmp_path, parts):
    result = write_run(tmp_path / "run", parts)
    write_run(tmp_path / "rival", parts, seed=1, backbone="mobilenet")
    found = statuses(report.audit_run(result, parts))
    assert found["seeds"] == found["difference"] == "warn"
    assert found["model"] == "warn"  # there is no model.keras


def test_an_unfinished_run_and_a_folder_of_runs_are_errors(tmp_path, parts):
    write_run(tmp_path / "run", parts)
    with pytest.raises(ValueError, match="folder of 1 runs"):
        report.audit(tmp_path)
    (tmp_path / "run" / "scores.json").unlink()
    with pytest.raises(ValueError, match="finish the run"):
        report.audit(tmp_path / "run")


def test_report_and_json_say_the_same(tmp_path, parts):
    findings = report.audit_run(write_run(tmp_path / "run", parts), parts)
    text = report.report(findings)
    assert text.splitlines()[0].startswith(f"{len(findings)} checks: ")
    assert all(f"{f.status:<5} {f.check}" in text for f in findings)
    assert max(map(len, text.splitlines())) <= 100
    report.write_json(findings, tmp_path / "audit.json")
    written = json.loads((tmp_path / "audit.json").read_text())
    columns = ["check", "status", "figures", "sentence", "leak"]
    assert [list(row) for row in written] == [columns] * len(findings)
    assert not report.failed(findings)
    assert report.failed([*findings, findings[0]._replace(status="fail")])


@pytest.mark.slow
@pytest.mark.realdata
def test_the_known_duplicates_of_fer2013_are_found(real_data):
    findings = {f.check: f for f in report.audit(real_data / "fer2013")}
    assert findings["identical images"].status == findings["near-duplicates"].status == "warn"
    figures = findings["identical images"].figures
    assert figures["test in train"] + figures["test in validation"] >= 280
    assert findings["label conflicts"].figures["repeated images"] == 1532
