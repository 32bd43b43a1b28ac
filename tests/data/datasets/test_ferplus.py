"""FER+: votes become labels by the published protocols, joined to the pixels by row."""

import csv
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib import emotions, storage
from fer_lib.data import catalogue
from fer_lib.data.datasets import ferplus
from support.places import SHARED

HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
)


def votes_row(usage, name, **counts):
    """A line of the votes file: ten columns by name, others 0."""
    columns = HEADER.split(",")[2:]
    return f"{usage},{name}," + ",".join(str(counts.get(column, 0)) for column in columns)


# A face whose votes have a majority for each of FER-7's labels, in FER-2013's order.
CLEAR = [
    {"anger": 8, "neutral": 2},
    {"disgust": 9, "anger": 1},
    {"fear": 10},
    {"happiness": 10},
    {"sadness": 7, "neutral": 3},
    {"surprise": 6, "fear": 3, "NF": 1},
    {"neutral": 10},
]


def write(home, rng, rows, labels, usages, folder="fer2013", name="fer2013new.csv"):
    """Write FER+'s pair of files; `rows` are the votes, dicts (None for a row without a name)."""
    pixels, votes = ["emotion,pixels,Usage"], [HEADER]
    images = rng.integers(0, 256, (len(rows), 48, 48), dtype=np.uint8)
    for number, (row, label, usage) in enumerate(zip(rows, labels, usages, strict=True)):
        pixels.append(f"{label},{' '.join(map(str, images[number].ravel()))},{usage}")
        # The number in a name is not the row: it is one higher here.
        named = "" if row is None else f"fer{number + 1:07}.png"
        votes.append(votes_row(usage, named, **(row or {"NF": 10})))
    for path, lines in ((home / folder / "fer2013.csv", pixels), (home / "ferplus" / name, votes)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return images


USAGES = ("Training", "PublicTest", "PrivateTest")


@pytest.fixture
def home(fer_home):
    return fer_home / "datasets"


@pytest.fixture
def pair(home, rng):
    """A miniature of three official splits, each class four times, and its images."""
    rows = CLEAR * 12
    images = write(home, rng, rows, list(range(7)) * 12, np.repeat(USAGES, 28).tolist())
    return home, images


def test_each_row_s_votes_are_joined_to_the_pixels_of_the_same_row(pair):
    home, images = pair
    loaded = catalogue.load_dataset("ferplus")
    for place, faces in enumerate(loaded.values()):
        assert faces.label_set == emotions.FERPLUS8 and len(faces) == 28
        np.testing.assert_array_equal(faces.images, images[28 * place : 28 * (place + 1)])
        named = [faces.label_set[label] for label in faces.labels]
        assert named == list(emotions.FER7) * 4
    digest = storage.file_hash(home / "ferplus/fer2013new.csv")[:8]
    assert loaded["test"].name == f"FER+ majority PrivateTest (fer2013new.csv {digest})"


@pytest.mark.parametrize(
    ("votes", "majority", "plurality"),
    [
        ({"anger": 6, "fear": 4}, "angry", "angry"),
        ({"anger": 5, "fear": 5}, None, "angry"),  # half is not more than half
        ({"anger": 4, "fear": 3, "neutral": 3}, None, "angry"),
        (
            {"anger": 4, "fear": 2, "sadness": 1, "neutral": 1, "disgust": 1, "NF": 1},
            "angry",
            "angry",
        ),
        ({"anger": 5, "unknown": 3, "fear": 2}, None, "angry"),  # unknown counts in the sum
        ({"unknown": 6, "anger": 4}, None, None),
        ({"NF": 9, "anger": 1}, None, None),
        ({name: 1 for name in HEADER.split(",")[2:]}, None, None),
        ({"contempt": 2, "unknown": 1}, "contempt", "contempt"),
    ],
)
def test_the_protocols_by_hand(votes, majority, plurality):
    row = np.array([[votes.get(name, 0) for name in HEADER.split(",")[2:]]])
    row[row <= 1] = 0
    for rule, expected in ((ferplus.majority, majority), (ferplus.plurality, plurality)):
        (label,), (reason,) = rule(row)
        assert (emotions.FERPLUS8[label] if label >= 0 else None) == expected
        assert bool(reason) == (expected is None)


def test_soft_targets_are_the_distribution_of_the_votes_that_count(pair):
    test = catalogue.load_dataset("ferplus", protocol="soft")["test"]
    assert test.labels.dtype == np.float32 and test.labels.shape == (28, 8)
    np.testing.assert_allclose(test.labels.sum(axis=1), 1, rtol=1e-6)
    target = dict(zip(emotions.FERPLUS8, test.labels[5].tolist(), strict=True))
    assert target["surprise"] == pytest.approx(2 / 3) and target["fear"] == pytest.approx(1 / 3)


def test_what_a_protocol_leaves_out_is_counted_with_its_reason(home, rng):
    rows = CLEAR * 12
    rows[3], rows[10], rows[17] = None, {"unknown": 10}, {"happiness": 5, "neutral": 5}
    write(home, rng, rows, list(range(7)) * 12, np.repeat(USAGES, 28).tolist())
    loaded = catalogue.load_dataset("ferplus")
    assert len(loaded["train"]) == 25 and len(loaded["train"].skipped) == 3
    text = catalogue.describe("ferplus", loaded)
    assert "3 rows or files were left out" in text and "1 has no image name" in text
    assert len(catalogue.load_dataset("ferplus", protocol="plurality")["train"]) == 26


def test_without_private_test_validation_is_held_out_of_training(home, rng):
    rows = CLEAR * 24
    write(home, rng, rows, list(range(7)) * 24, ["Training"] * 140 + ["PublicTest"] * 28)
    loaded = catalogue.load_dataset("ferplus")
    assert [len(faces) for faces in loaded.values()] == [126, 14, 28]
    assert "Training (10 % held out)" in loaded["validation"].name
    assert "PublicTest" in loaded["test"].name


def test_the_pixels_may_lie_beside_the_votes_or_in_a_zip(home, rng):
    rows = CLEAR * 12
    images = write(
        home, rng, rows, list(range(7)) * 12, np.repeat(USAGES, 28).tolist(), folder="ferplus"
    )
    plain = catalogue.load_dataset("ferplus")
    path = home / "ferplus/fer2013.csv"
    with zipfile.ZipFile(home / "ferplus/archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "fer2013/fer2013.csv")
    path.unlink()
    zipped = catalogue.load_dataset("ferplus")
    assert zipped["test"].content_hash == plain["test"].content_hash
    np.testing.assert_array_equal(zipped["train"].images, images[:28])


def test_another_file_of_votes_stands_under_its_own_name(home, rng):
    write(home, rng, CLEAR * 12, list(range(7)) * 12, np.repeat(USAGES, 28).tolist())
    first = (home / "ferplus/fer2013new.csv").read_text()
    (home / "ferplus/label.csv").write_text(first + "\n")
    names = {
        file: catalogue.load_dataset("ferplus", votes_file=file)["test"].name
        for file in ("fer2013new.csv", "label.csv")
    }
    assert "fer2013new.csv" in names["fer2013new.csv"] and "label.csv" in names["label.csv"]
    assert names["label.csv"].split()[-1] != names["fer2013new.csv"].split()[-1]
    assert "fer2013new.csv" in catalogue.load_dataset("ferplus")["test"].name


def test_files_in_another_order_are_refused(pair):
    home, _ = pair
    path = home / "ferplus/fer2013new.csv"
    header, *lines = path.read_text().splitlines()
    swapped = [*lines[28:56], *lines[:28], *lines[56:]]
    path.write_text("\n".join([header, *swapped]) + "\n")
    with pytest.raises(ValueError, match="Row 1 is PublicTest in .*original order"):
        catalogue.load_dataset("ferplus")


def test_rows_shuffled_within_a_split_are_found_by_their_labels(home, rng):
    write(home, rng, CLEAR * 24, list(range(7)) * 24, ["Training"] * 140 + ["PublicTest"] * 28)
    path = home / "ferplus/fer2013new.csv"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *lines[1:140], lines[0], *lines[140:]]) + "\n")
    with pytest.raises(ValueError, match="joined by row"):
        catalogue.load_dataset("ferplus")


def test_fewer_votes_than_pixels_are_refused(pair):
    home, _ = pair
    path = home / "ferplus/fer2013new.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(ValueError, match="has 83 rows, but"):
        catalogue.load_dataset("ferplus")


@pytest.mark.parametrize("missing", ["ferplus/fer2013new.csv", "fer2013/fer2013.csv"])
def test_a_missing_file_is_named_in_three_lines(pair, missing):
    home, _ = pair
    (home / missing).unlink()
    with pytest.raises(FileNotFoundError) as error:
        catalogue.load_dataset("ferplus")
    what, source, target = str(error.value).splitlines()
    assert missing.split("/")[1] in what and "https://" in source
    assert str(home / missing.split("/")[0]) in target


def test_an_unknown_protocol_is_an_error_with_the_nearest(pair):
    with pytest.raises(ValueError, match="Unknown FER\\+ protocol.*did you mean 'majority'"):
        catalogue.load_dataset("ferplus", protocol="majorty")


# The parser


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(USAGES),
            st.booleans(),
            st.permutations([3, 2, 2, 1, 1, 1, 0, 0, 0, 0]),
        ),
        min_size=1,
        max_size=12,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    space=st.sampled_from(["", " "]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_any_valid_file_of_votes_gives_back_its_votes(
    tmp_path_factory, rows, end, bom, space, quoting
):
    path = tmp_path_factory.mktemp("votes") / "fer2013new.csv"
    with open(path, "w", newline="", encoding="utf-8-sig" if bom else "utf-8") as file:
        writer = csv.writer(file, lineterminator=end, quoting=quoting)
        writer.writerow(HEADER.split(","))
        for number, (usage, named, votes) in enumerate(rows):
            name = f"fer{number:07}.png" if named else ""
            writer.writerow([usage, name, *(f"{space}{vote}" for vote in votes)])
    votes, usage, named = ferplus.read_votes(path)
    assert votes.tolist() == [list(row[2]) for row in rows]
    assert usage.tolist() == [row[0] for row in rows]
    assert named.tolist() == [row[1] for row in rows]


@settings(max_examples=25, deadline=None)
@given(bad=st.sampled_from(["", "-1", "11", "1.5", "x", "1e1", "²"]), place=st.integers(0, 9))
def test_a_bad_vote_is_refused_with_its_row(tmp_path_factory, bad, place):
    path = tmp_path_factory.mktemp("votes") / "fer2013new.csv"
    votes = ["1"] * 10
    votes[place] = bad
    good = votes_row("Training", "fer0000000.png", neutral=10)
    path.write_text("\n".join([HEADER, good, f"Training,x.png,{','.join(votes)}"]) + "\n")
    with pytest.raises(ValueError, match="row 2: votes must be whole numbers"):
        ferplus.read_votes(path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Training,x.png,1,2", "row 1: has 4 fields instead of 12"),
        (votes_row("Trainng", "x.png", NF=10), "row 1: Usage is 'Trainng'"),
        (
            votes_row("Training", "x.png", NF=10, fear=1),
            "row 1: must have 1 to 10 votes; it has 11",
        ),
        (votes_row("Training", "x.png"), "row 1: must have 1 to 10 votes; it has 0"),
    ],
)
def test_a_bad_row_is_refused_with_its_number(tmp_path, line, reason):
    (tmp_path / "v.csv").write_text(f"{HEADER}\n{line}\n")
    with pytest.raises(ValueError, match=reason):
        ferplus.read_votes(tmp_path / "v.csv")


def test_a_file_of_other_columns_is_refused(tmp_path):
    # The form of the label.csv files of microsoft/FERPlus.
    (tmp_path / "label.csv").write_text('fer0028638.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0\n')
    with pytest.raises(ValueError, match="label.csv must have the columns Usage, Image name"):
        ferplus.read_votes(tmp_path / "label.csv")


# Real data


@pytest.mark.realdata
def test_the_published_file_gives_the_counts_of_the_card(shared):
    votes, usage, named = ferplus.read_votes(shared / "data/fer2013new.csv")
    assert len(votes) == 35_887 and (~named).sum() == 173
    labels, reasons = ferplus.majority(np.where(votes <= 1, 0, votes))
    for split, counts in ferplus.MAJORITY_COUNTS.items():
        kept = (usage == split) & named & (reasons == "")
        assert tuple(np.bincount(labels[kept], minlength=8)) == counts
    totals = {split: sum(counts) for split, counts in ferplus.MAJORITY_COUNTS.items()}
    assert totals == {"Training": 25_060, "PublicTest": 3_199, "PrivateTest": 3_153}


@pytest.mark.slow
@pytest.mark.realdata
def test_the_real_faces_are_joined_in_every_protocol(real_data, home):
    (home / "ferplus").mkdir(parents=True)
    for name, source in (
        ("fer2013.csv", real_data / "fer2013/fer2013.csv"),
        ("fer2013new.csv", SHARED / "data/fer2013new.csv"),
    ):
        (home / "ferplus" / name).symlink_to(source)
    sizes = {"majority": (25_060, 3_199), "plurality": (28_389, 3_553), "soft": (28_389, 3_553)}
    for protocol, (training, test) in sizes.items():
        loaded = catalogue.load_dataset("ferplus", protocol=protocol)
        assert len(loaded["train"]) + len(loaded["validation"]) == training
        assert len(loaded["test"]) == test
        skipped = [reason for part in loaded.values() for reason in part.skipped]
        assert sum("no image name" in reason for reason in skipped) == 158
    assert loaded["test"].labels.dtype == np.float32
    by_name = catalogue.load_dataset("ferplus_soft")
    assert np.array_equal(by_name["test"].labels, loaded["test"].labels)
    # Held out under both label sets, so that a model may start from one of the other.
    held = catalogue.load_dataset(home / "ferplus" / "fer2013.csv")["validation"].ids
    assert set(loaded["validation"].ids) <= set(held) and len(held) == 2819
