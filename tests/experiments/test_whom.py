"""whom: a table of people finds its faces, and a run is scored by each of its columns."""

import types

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fer_lib import plots
from fer_lib.emotions import FER7
from fer_lib.experiments import whom

IDS = np.array([f"test/happy/p{k}.png" for k in range(700)])


def run_of(ids=IDS):
    generator = np.random.default_rng(0)
    labels = np.arange(len(ids)) % 7
    right = generator.random(len(ids)) < np.where(np.arange(len(ids)) % 2, 0.9, 0.5)
    named = np.where(right, labels, (labels + 1) % 7)
    answers = (0.86 * np.eye(7)[named] + 0.02).astype(np.float32)
    of = {"ids": ids, "labels": labels, "probabilities": answers}
    return types.SimpleNamespace(predictions=of, label_set=FER7)


@pytest.fixture
def people(tmp_path):
    """A table in another order, by file name alone, without the last face."""
    rows = [(f"p{k}.png", ("a", "b")[k % 2], k) for k in range(699)][::-1]
    path = tmp_path / "people.csv"
    pd.DataFrame(rows, columns=["file", "gender", "number"]).to_csv(path, index=False)
    return path


def test_a_table_is_matched_by_the_faces_ids(people):
    table = whom.read_people(people, IDS)
    assert table["number"].tolist() == [*map(str, range(699)), ""]
    assert table["gender"].tolist()[:3] == ["a", "b", "a"]
    with pytest.raises(ValueError, match="must hold the ids of the faces, such as 'x0'"):
        whom.read_people(people, np.array(["x0", "x1"]))
    people.write_text("id,gender\n0,a\n0,b\n")
    with pytest.raises(ValueError, match="'0' stands twice"):
        whom.read_people(people, np.array([0]))


def test_rows_are_ids_too(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("row,age\n28710,old\n28709,young\n")
    assert whom.read_people(path, np.array([28709, 28710]))["age"].tolist() == ["young", "old"]


def test_rafdb_s_attributes_are_read(tmp_path):
    for number, codes in ((1, (0, 2, 4)), (2, (2, 0, 0))):
        marks = "\n".join(f"{x}.5\t{x}.25" for x in range(5))
        text = marks + "\n" + "\n".join(map(str, codes)) + "\n"
        (tmp_path / f"test_000{number}_manu_attri.txt").write_text(text)
    ids = np.array(["test/3/test_0002_aligned.jpg", "test_0001_aligned.jpg", "test_0003.jpg"])
    table = whom.read_people(tmp_path, ids)
    assert table["gender"].tolist() == ["", "male", ""]
    assert table["race"].tolist() == ["Caucasian", "Asian", ""]
    assert table["age"].tolist() == ["0-3", "70 and over", ""]
    (tmp_path / "test_0001_manu_attri.txt").write_text("1 2\n0\n9\n0\n")
    with pytest.raises(ValueError, match=r"test_0001.*three numbers for gender, race, age"):
        whom.read_people(tmp_path, ids)


def test_each_column_of_groups_is_scored_and_told(people):
    tables = whom.groups_of_run(run_of(), people, resamples=100)
    assert list(tables) == ["gender"]  # numbers are no groups
    table = tables["gender"].set_index("group")
    assert table.loc["b", "recall_low"] > table.loc["a", "recall_high"]
    text = whom.in_markdown(tables)
    assert "| not known | 1 | refused | refused |" in text and "p = 0.0099" in text
    with pytest.raises(ValueError, match="gendr.*gender"):
        whom.groups_of_run(run_of(), people, ["gendr"])


def test_the_figure_shows_judged_groups_and_names_the_others(people):
    table = whom.groups_of_run(run_of(), people, resamples=50)["gender"]
    ax = plots.plot_groups(table)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "a (n = 350)",
        "b (n = 349)",
        "not known (n = 1)",
    ]
    assert len(ax.containers) == 2 and ax.texts[-1].get_text() == "not judged"
    assert ax.get_xlabel() == "mean recall"
    plt.close("all")
    with pytest.raises(ValueError, match="judged group"):
        plots.plot_groups(table[["group", "n", "judged"]])


def test_what_is_not_known_is_said_and_not_guessed():
    text = whom.UNKNOWN.format(data="FER-2013 PublicTest")
    assert "FER-2013 PublicTest does not say who" in text and "Nothing is guessed" in text
