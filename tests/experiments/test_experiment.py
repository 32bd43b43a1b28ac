"""experiment: what papermill may pass, what is refused, and which runs share a folder."""

import dataclasses
import inspect
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_lib.data import catalogue
from fer_lib.experiments import experiment, values
from fer_lib.experiments.experiment import Experiment, from_notebook, from_record
from fer_lib.models import attention, classifier
from fer_lib.sweeps import grid
from fer_lib.training import augmentation, devices, loop, mixing
from support.places import ROOT, write_fer2013_csv

FIELDS = {field.name: field for field in dataclasses.fields(Experiment)}
NUMBERS = [name for name, field in FIELDS.items() if field.type in (int, float, int | None)]


def namespace(injected=None, **values):
    """What a notebook's globals() hold after its parameters cell and papermill's."""
    cells = ["", "dataset = 'auto'\nepochs = 15  # Epochs in all"]
    return dataclasses.asdict(Experiment()) | {"In": [*cells, *(injected or [])]} | values


@pytest.mark.parametrize(
    "name, given, stored",
    [
        ("learning_rate", "1e-4", 1e-4),
        ("learning_rate", 1, 1.0),
        ("epochs", "15", 15),
        ("epochs", 15.0, 15),
        ("patience", "None", None),
        ("patience", None, None),
        ("patience", "3", 3),
        ("weights", "None", None),
        ("weights", "none", None),
        ("class_weight", "None", None),
        ("unfreeze", 100, "100"),  # what papermill makes of `-p unfreeze 100`
        ("alpha", 1, 1.0),
        ("deterministic", True, True),
        ("deterministic", "True", True),
        ("deterministic", "true", True),
        ("deterministic", "false", False),
        ("attention", "None", None),
    ],
)
def test_what_papermill_passes_is_read_as_the_parameter_needs(name, given, stored):
    value = getattr(Experiment(**{name: given}), name)
    assert value == stored and type(value) is type(stored)


@pytest.mark.parametrize(
    "name, given",
    [
        ("epochs", "many"),
        ("epochs", 1.5),
        ("epochs", "1.5"),
        ("epochs", None),
        ("epochs", "None"),
        ("epochs", True),
        ("epochs", [15]),
        ("learning_rate", "fast"),
        ("learning_rate", math.nan),
        ("learning_rate", "inf"),
        ("seed", 10**400),
        ("dataset", None),
        ("dataset", 1.5),
        ("backbone", True),
        ("unfreeze", ["all"]),
        ("deterministic", 2),
        ("deterministic", "yes"),
        ("deterministic", None),
        ("ema", True),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(name, given):
    with pytest.raises(ValueError, match=f"^{name} must "):
        Experiment(**{name: given})


@pytest.mark.parametrize(
    "name, given",
    [
        ("epochs", 0),
        ("image_size", 31),
        ("dropout", 1.0),
        ("learning_rate", -1e-3),
        ("seed", -1),
        ("seed", 2**31),
        ("alpha", 0),
        ("patience", 0),
        ("label_smoothing", 1),
        ("head_epochs", -1),
        ("ema", 1),
        ("mixing_alpha", 0),
        ("distill_weight", 2),
        ("distill_temperature", 0),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_range(name, given):
    with pytest.raises(ValueError, match=rf"{name} must lie in \[.*\]; got {given}"):
        Experiment(**{name: given})


def test_every_number_has_a_range():
    assert set(NUMBERS) == set(experiment.values.RANGES)


@pytest.mark.parametrize(
    "name, given, nearest",
    [
        ("backbone", "mobilnet_v2", "mobilenet_v2"),
        ("unfreeze", "tops", "top"),
        ("batch_norm", "adapted", "adapt"),
        ("optimizer", "adamW", "adamw"),
        ("schedule", "cosin", "cosine"),
        ("monitor", "val_f1", "val_macro_f1"),
        ("class_weight", "balance", "balanced"),
        ("augmentation", "standart", "standard"),
        ("mixed_precision", "bfloat", "bfloat16"),
        ("unfreeze", "progresive", "progressive"),
        ("attention", "cbm", "cbam"),
        ("mixing", "mix", "mixup"),
        ("distribute", "dat", "data"),
    ],
)
def test_an_unknown_choice_is_refused_with_the_nearest_one(name, given, nearest):
    with pytest.raises(ValueError, match=f"Unknown .*{given}.*did you mean '{nearest}'"):
        Experiment(**{name: given}).validate()


@pytest.mark.parametrize(
    "name, choices",
    [
        ("backbone", classifier.BACKBONES),
        ("unfreeze", classifier.UNFREEZE),
        ("batch_norm", classifier.BATCH_NORM),
        ("optimizer", loop.OPTIMIZERS),
        ("schedule", loop.SCHEDULES),
        ("monitor", loop.MONITORS),
        ("class_weight", loop.CLASS_WEIGHTS),
        ("augmentation", augmentation.AUGMENTATIONS),
        ("unfreeze", ["progressive"]),
        ("attention", attention.ATTENTION),
        ("mixing", mixing.MIXING),
        ("distribute", devices.MODES),
    ],
)
def test_every_choice_of_the_library_is_valid(name, choices):
    for choice in choices:
        assert getattr(Experiment(**{name: choice}).validate(), name) == choice


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"backbone": "cnn4", "unfreeze": "progressive"}, "cnn4 has none: use unfreeze=.all"),
        ({"backbone": "cnn4", "attention": "se"}, "cnn4 is none: use attention=None"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**parameters).validate()


def test_the_documented_parameters_are_the_fields():
    arguments = inspect.getdoc(Experiment).split("Args:")[1].split("Raises:")[0]
    documented = re.findall(r"^ {4}(\w+):", arguments, re.MULTILINE)
    assert [name for name in documented if name in FIELDS] == list(FIELDS)


# names


def test_the_same_parameters_have_the_same_name_however_they_were_written():
    plain = Experiment(epochs=15, alpha=1.0, unfreeze="100", learning_rate=1e-4)
    passed = Experiment(epochs="15", alpha=1, unfreeze=100, learning_rate="1e-4")
    assert plain == passed and plain.name == passed.name


def test_the_name_is_the_same_on_every_machine():
    assert Experiment(dataset="fer2013").name.startswith("fer2013-mobilenet_v2-all-48px-s0-")
    again = Experiment(**json.loads(json.dumps(dataclasses.asdict(Experiment()))))
    assert again.name == Experiment().name


@pytest.mark.parametrize("path", sorted(ROOT.glob("figures/*/*/experiment.json")), ids=str)
def test_a_published_run_keeps_its_name(path):
    published = json.loads(path.read_text())
    assert from_record(published).name == path.parent.name
    recorded = set(published) | set(values.RETIRED)
    assert set(from_record(published).identity()) <= recorded - {"results_dir"}


@pytest.mark.parametrize("name", values.RETIRED)
def test_a_retired_parameter_is_read_at_its_value_alone_and_asked_for_no_more(name):
    constant = values.RETIRED[name]
    old = Experiment(epochs=3)
    assert name not in FIELDS
    assert from_record(dataclasses.asdict(old) | {name: constant}) == old
    now = f"now {name} is always {constant!r}"
    with pytest.raises(ValueError, match=f"{name}=0.7 is of an earlier version.*{now}"):
        from_record(dataclasses.asdict(old) | {name: 0.7})
    for ask in (
        lambda: experiment.from_words([f"{name}=0.7"]),
        lambda: from_notebook(namespace([f"# Parameters\n{name} = 0.7\n"])),
        lambda: grid.read_grid([f"{name}=0.7"]),
    ):
        with pytest.raises(ValueError, match=f"{name} is no parameter any more: it is always"):
            ask()


def test_a_new_parameter_at_its_default_is_no_part_of_the_identity():
    assert not {"attention", "ema", "deterministic"} & set(Experiment().identity())
    assert Experiment(ema=0.99).identity() == Experiment().identity() | {"ema": 0.99}
    assert from_record(Experiment(ema=0.99).identity()) == Experiment(ema=0.99)


OTHERS = {
    "classes": "boredom,pain",
    "data_options": "size=96",
    "train_fraction": 0.5,
    "validation_fraction": 0.2,
    "auxiliary": "ferplus_soft",
    "attention": "se",
    "ema": 0.99,
    "mixing": "mixup",
    "distill_from": "teacher.tflite",
    "distill_weight": 0.1,
    "distill_on": "augmented",
    "distribute": "none",
    "deterministic": True,
    "dataset": "synthetic",
    "backbone": "mobilenet",
    "weights": None,
    "unfreeze": "top",
    "batch_norm": "frozen",
    "optimizer": "sgd",
    "schedule": "constant",
    "class_weight": "balanced",
    "augmentation": "flip",
    "monitor": "val_loss",
    "mixed_precision": "none",
    "dropout": 0.5,
    "label_smoothing": 0.1,
    "image_size": 96,
    "patience": 7,
}


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "results_dir"])
def test_every_parameter_that_makes_the_result_changes_the_name(name):
    default = Experiment(
        auxiliary="ferplus", mixing="cutmix", distill_from="a.tflite", folds=5, fold=1
    )
    other = OTHERS[name] if name in OTHERS else getattr(default, name) + 1
    assert dataclasses.replace(default, **{name: other}).name != default.name


@pytest.mark.parametrize("name", ["mixing_alpha", "distill_weight", "distill_temperature"])
def test_a_parameter_that_nothing_reads_is_not_in_the_name(name):
    assert Experiment(**{name: 0.7}).name == Experiment().name
    read = {"mixing": "mixup", "distill_from": "a.tflite"}
    assert Experiment(**{name: 0.7}, **read).name != Experiment(**read).name


def test_options_of_the_data_set_are_passed_on(monkeypatch):
    asked = {}
    monkeypatch.setattr(catalogue, "load_dataset", lambda name, **how: asked.update(how) or name)
    options = "labels=rafdb drop=contempt,neutral size=96 colour=true on_error=skip"
    this = Experiment(dataset="mine", classes="boredom,pain", data_options=options, split_seed=3)
    assert this.load_data() == "mine"
    assert asked == {
        "labels": "rafdb",
        "drop": "contempt,neutral",
        "size": 96,
        "colour": True,
        "on_error": "skip",
        "classes": "boredom,pain",
        "split_seed": 3,
    }
    asked.clear()
    this.load_data("ferplus")  # other labels of the same faces have options of their own
    assert asked == {"split_seed": 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("sise=96", "Unknown option of data_options 'sise'.*did you mean 'size'"),
        ("size", "name=value with spaces between"),
        ("size=48 size=96", "each name once"),
    ],
)
def test_options_that_are_none_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Experiment(data_options=options)


@pytest.mark.parametrize(("folds", "fold"), [(1, 1), (5, 0), (5, 6), (0, 1)])
def test_a_fold_that_is_none_is_refused(folds, fold):
    with pytest.raises(ValueError, match="fold counts the folds from 1 to folds"):
        Experiment(folds=folds, fold=fold)


def test_folds_and_fractions_are_of_the_data_that_is_loaded():
    few = "train=140 validation=35 test=35"
    this = Experiment(dataset="synthetic", data_options=few, folds=3, fold=2, train_fraction=0.5)
    data = this.load_data()
    assert sum(map(len, data.values())) < 210 and 60 < len(data["test"]) < 80
    assert data["train"].name.startswith("50 % of synthetic faces (not FER-2013), fold 2 of 3")
    more = dataclasses.replace(this, train_fraction=1, validation_fraction=0.5).load_data()
    assert sum(map(len, more.values())) == 210 and len(more["train"]) > 2 * len(data["train"])


def test_where_the_results_go_is_not_in_the_name():
    assert Experiment(results_dir="elsewhere").name == Experiment().name
    assert "results_dir" not in Experiment().identity()


@pytest.mark.slow
@given(st.text(min_size=1, max_size=80))
def test_any_dataset_path_makes_a_safe_folder_name(path):
    name = Experiment(dataset=path).name
    assert "/" not in name and "\\" not in name and "\0" not in name
    assert len(name.encode()) < 255 and name not in (".", "..")


# the notebook


def test_the_parameters_cell_becomes_the_experiment():
    assert from_notebook(namespace()) == Experiment()
    injected = ['# Parameters\nepochs = 3\nunfreeze = 100\nlearning_rate = "1e-4"\n']
    passed = {"epochs": 3, "unfreeze": 100, "learning_rate": "1e-4"}
    expected = Experiment(epochs=3, unfreeze="100", learning_rate=1e-4)
    assert from_notebook(namespace(injected, **passed)) == expected


def test_an_unknown_injected_parameter_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Unknown parameter 'epoch'.*did you mean 'epochs'"):
        from_notebook(namespace(["# Parameters\nepoch = 3\n"], epoch=3))
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        from_notebook(namespace(["# Parameters\nseed = 1\nlearningrate = 0.1\n"]))


def test_variables_of_other_cells_are_not_taken_for_parameters():
    assert from_notebook(namespace(["epoch = 3\n"], epoch=3)) == Experiment()


def test_the_parameters_cell_has_first_the_dozen_that_people_change():
    cells = json.loads((ROOT / "notebooks" / "run_experiment.ipynb").read_text())["cells"]
    (cell,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    text = "".join(cell["source"])
    parts = [part.splitlines() for part in text.split("\n\n")]
    headings = ["# What people change", "# The recipe", "# Where and how to compute"]
    assert [part[0] for part in parts] == headings and len(parts[0]) == 1 + 12
    # papermill reads a comment up to its first equals sign
    assert not [line for part in parts for line in part if "=" in line.partition("#")[2]]


def test_a_missing_parameter_is_refused_by_name():
    incomplete = namespace()
    del incomplete["seed"]
    with pytest.raises(ValueError, match="must define seed"):
        from_notebook(incomplete)


def test_a_bad_choice_in_the_notebook_is_refused():
    with pytest.raises(ValueError, match="Unknown backbone 'resnet'"):
        from_notebook(namespace(backbone="resnet"))


def test_without_ipython_the_cells_are_not_missed():
    assert from_notebook(dataclasses.asdict(Experiment())) == Experiment()


def test_the_split_seed_draws_what_is_held_out(tmp_path):
    data = str(write_fer2013_csv(tmp_path / "fer2013.csv"))
    usual, again, other = (Experiment(dataset=data, split_seed=n).load_data() for n in (0, 0, 1))
    np.testing.assert_array_equal(usual["validation"].ids, again["validation"].ids)
    assert set(usual["validation"].ids) != set(other["validation"].ids)
    np.testing.assert_array_equal(usual["test"].ids, other["test"].ids)  # the official one
    assert "split_seed" not in Experiment(dataset=data).identity()
    with pytest.raises(ValueError, match="split_seed is for faces .* leave it at 0"):
        Experiment(dataset="synthetic", split_seed=1).validate()
