"""additions: each fault is planted in a photograph, and told."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fer_lib.data.faces import Faces
from fer_lib.data.synthetic import make_faces
from fer_lib.vision import detection, own_photos
from fer_lib.vision.detection import Detection
from fer_lib.vision.own_photos import add_faces, extend

FACES = make_faces(84, seed=9)
DATA = {"train": FACES[:42], "validation": FACES[42:56], "test": FACES[56:70]}
NEW = FACES[70:]


def whole(image, detector="auto"):
    """Find one face that fills the picture, or as many side by side as it is wide, or none."""
    height, width = image.shape[:2]
    count = 0 if height > 200 else width // height
    side = height / (1 + detection.MARGIN)  # so that the crop is the picture, not resampled
    edge = (height - side) / 2
    return [Detection(n * height + edge, edge, side, side, 1.0) for n in range(count)]


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    monkeypatch.setattr(detection, "detect", whole)
    monkeypatch.setattr(detection, "resolve_auto", lambda detector: (detector, ""))
    monkeypatch.setattr(own_photos, "_embedding", lambda: (None, None, "no ResNet-50 here"))


def write(folder, name, *images, side=48, blur=0):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.concatenate(images, axis=1))
    picture = picture.resize((side * len(images), side)).filter(ImageFilter.GaussianBlur(blur))
    picture.save(path)


def name_of(faces, place):
    return faces.label_set[faces.classes[place]]


@pytest.fixture
def photos(tmp_path):
    """A folder with a good photograph of each of two faces, and one of each fault."""
    folder = tmp_path / "wild"
    write(folder, f"{name_of(NEW, 0)}/good.png", NEW.images[0])
    write(folder, f"{name_of(NEW, 1)}/other.png", NEW.images[1])
    write(folder, "happy/small.png", NEW.images[2], side=30)
    write(folder, "happy/blurred.png", NEW.images[3], blur=4)
    write(folder, "happy/nobody.png", NEW.images[4], side=220)
    write(folder, "happy/pair.png", NEW.images[5], NEW.images[6])
    write(folder, "sad/tested.png", DATA["test"].images[3][:, ::-1])
    write(folder, "sad/validated.png", DATA["validation"].images[2])
    write(folder, "sad/trained.png", DATA["train"].images[5])
    write(folder, "surprise/again.png", NEW.images[0])
    write(folder, "contempt/face.png", NEW.images[7])
    (folder / "sad" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    return folder


def test_every_planted_fault_is_told_and_the_rest_is_added(photos):
    faces, table = add_faces(photos, DATA)
    told = {row.photo.rpartition("/")[2]: (row.verdict, row.reason) for row in table.itertuples()}
    assert set(faces.ids) == {f"{name_of(NEW, 0)}/good.png#1", f"{name_of(NEW, 1)}/other.png#1"}
    assert told["good.png"] == told["other.png"] == ("added", "")
    expected = {
        "small.png": ("rejected", "is smaller than 40 pixels"),
        "blurred.png": ("rejected", "is blurred: sharpness"),
        "nobody.png": ("rejected", "no face was found"),
        "pair.png": ("rejected", "shows 2 faces"),
        "tested.png": ("refused", f"near-duplicate of test face {DATA['test'].ids[3]}"),
        "validated.png": ("refused", "near-duplicate of validation face"),
        "trained.png": ("rejected", f"near-duplicate of train face {DATA['train'].ids[5]}"),
        "again.png": ("rejected", f"near-duplicate of added face {name_of(NEW, 0)}/good.png#1"),
        "face.png": ("rejected", "contempt is no class of the data set"),
        "broken.jpg": ("rejected", "cannot be read"),
    }
    assert set(told) == {*expected, "good.png", "other.png"}
    for name, (verdict, reason) in expected.items():
        assert told[name][0] == verdict and reason in told[name][1], name
    assert len(faces.skipped) == (table.verdict != "added").sum() == 11
    assert table.attrs["notice"] == "no ResNet-50 here"


def test_crops_and_labels_belong_to_their_rows(photos):
    faces, table = add_faces(photos, DATA)
    for row in table[table.verdict == "added"].itertuples():
        place = 0 if row.photo.endswith("good.png") else 1
        assert np.abs(faces.images[row.crop].astype(int) - NEW.images[place]).mean() < 3
        assert name_of(faces, row.crop) == row.emotion == name_of(NEW, place)
    assert (table[table.verdict != "added"].crop == -1).all()


def test_the_contact_sheet_shows_what_was_refused_and_says_why(photos):
    from fer_lib import plots

    _, table = add_faces(photos, DATA)
    images, captions = own_photos.contact_sheet(photos, table)
    places = {"tested.png": DATA["test"].images[3][:, ::-1], "validated.png": None}
    refused = table[table.verdict == "refused"]
    assert {name.rpartition("/")[2] for name in refused.photo} == set(places)
    assert images.shape == (2, 48, 48) and images.dtype == np.uint8
    row = [name.endswith("tested.png") for name in refused.photo].index(True)
    assert np.abs(images[row].astype(int) - places["tested.png"]).mean() < 3
    words = captions[row].replace("\n", " ")
    assert words == f"sad refused: is a near-duplicate of test face {DATA['test'].ids[3]}"
    plots.plot_faces(images, captions)
    nothing, captions = own_photos.contact_sheet(photos, table[table.verdict == "added"])
    assert len(nothing) == len(captions) == 0


def test_an_outlier_is_on_the_contact_sheet(photos):
    _, table = add_faces(photos, DATA)
    table.loc[table.photo.str.endswith("good.png"), "outlier"] = True
    images, captions = own_photos.contact_sheet(photos, table)
    found = [number for number, caption in enumerate(captions) if "added: far" in caption]
    assert len(images) == 3 and len(found) == 1
    assert np.abs(images[found[0]].astype(int) - NEW.images[0]).mean() < 3


def test_a_table_gives_labels_too_and_may_not_lead_out_of_its_folder(tmp_path):
    write(tmp_path, "a.png", NEW.images[0])
    (tmp_path / "list.csv").write_text("label,path\nANGER,a.png\nparty,b.png\n")
    faces, table = add_faces(tmp_path / "list.csv", DATA, drop="Party")
    assert faces.ids.tolist() == ["a.png#1"] and name_of(faces, 0) == "angry"
    assert table.reason.tolist() == ["", "left out by drop"]
    (tmp_path / "list.csv").write_text("label,path\nangry,../a.png\n")
    with pytest.raises(ValueError, match="row 1 .*'../a.png' lies outside"):
        add_faces(tmp_path / "list.csv", DATA)


def test_what_cannot_be_labelled_is_an_error(tmp_path):
    write(tmp_path, "hapy/a.png", NEW.images[0])
    with pytest.raises(ValueError, match="did you mean 'happy'"):
        add_faces(tmp_path, DATA)
    write(tmp_path, "b.png", NEW.images[0])
    with pytest.raises(ValueError, match="b.png lies in no folder named after an emotion"):
        add_faces(tmp_path, DATA)
    with pytest.raises(ValueError, match="must be a folder or a CSV"):
        add_faces(tmp_path / "nowhere", DATA)


def test_a_link_is_followed_and_one_that_leads_nowhere_is_listed(tmp_path):
    write(tmp_path, "outside/b.png", NEW.images[1])
    write(tmp_path, "wild/happy/a.png", NEW.images[0])
    (tmp_path / "wild" / "happy" / "b.png").symlink_to(tmp_path / "outside" / "b.png")
    (tmp_path / "wild" / "happy" / "c.png").symlink_to(tmp_path / "outside" / "gone.png")
    faces, table = add_faces(tmp_path / "wild", DATA)
    assert faces.ids.tolist() == ["happy/a.png#1", "happy/b.png#1"]
    reasons = dict(zip(table.photo, table.reason, strict=True))
    assert "link that leads nowhere" in reasons["happy/c.png"]


def test_embeddings_refuse_what_pixels_do_not_know_and_list_outliers(tmp_path):
    write(tmp_path, "happy/a.png", NEW.images[0])
    write(tmp_path, "happy/b.png", NEW.images[1])
    happy = DATA["train"].label_set.index("happy")

    def embed(images):
        """Stand in for a network: the first new face is a test face, the second far from all."""
        vectors = np.tile([1.0, 0, 0], (len(images), 1))
        if len(images) == len(DATA["test"]):
            vectors[:] = [0, 1, 0]
        if len(images) == 2:
            vectors[:] = [[0, 1, 0], [0.1, 0.2, 1]]
        return vectors

    assert (DATA["train"].classes == happy).any()
    data = {"train": DATA["train"], "test": DATA["test"]}
    faces, table = add_faces(tmp_path, data, embed=embed)
    assert table.verdict.tolist() == ["refused", "added"]
    assert table.reason[0].startswith("looks like test face") and "cosine 1.000" in table.reason[0]
    assert table.outlier.tolist() == [False, True] and len(faces) == 1
    assert "embeddings" in table.attrs["notice"]


def smooth(seed, cells=12, side=220):
    """A picture that survives being cut out and resized."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (cells, cells), np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def cut(picture, *box):
    resized = picture.resize((48, 48), Image.Resampling.BICUBIC, box=box)
    return np.asarray(resized)


def test_a_copy_that_was_cut_out_otherwise_is_laid_over_its_original(tmp_path):
    pictures = [smooth(seed) for seed in range(16)]
    test = np.stack([cut(picture, 0, 0, 220, 220) for picture in pictures[:14]])
    train = np.stack([cut(smooth(seed, 6), 0, 0, 220, 220) for seed in range(42)])
    data = {
        "train": dataclasses.replace(DATA["train"], images=train),
        "test": dataclasses.replace(DATA["test"], images=test, ids=np.arange(14)),
    }
    write(tmp_path, "happy/a.png", cut(pictures[3], 14, 6, 210, 202)[:, ::-1])  # and mirrored
    write(tmp_path, "happy/b.png", cut(pictures[14], 0, 0, 220, 220))
    write(tmp_path, "happy/c.png", cut(pictures[14], 10, 10, 212, 212))
    write(tmp_path, "happy/d.png", cut(pictures[15], 10, 10, 212, 212))

    def embed(images):
        """Take no two faces for alike."""
        return np.random.default_rng(len(images)).normal(size=(len(images), 64))

    _, table = add_faces(tmp_path, data, embed=embed)
    told = dict(zip(table.photo, zip(table.verdict, table.reason, strict=True), strict=True))
    assert told["happy/a.png"][0] == "refused"
    assert "looks like test face 3 (laid over it: correlation" in told["happy/a.png"][1]
    assert told["happy/b.png"][0] == told["happy/d.png"][0] == "added"
    assert told["happy/c.png"][0] == "rejected"
    assert "looks like added face happy/b.png#1 (laid over" in told["happy/c.png"][1]


def test_an_enlarged_corner_of_another_face_is_no_copy(monkeypatch):
    small, large = np.full((2, 48, 48), 90, np.uint8)
    small[19:29, 19:29] = large[12:36, 12:36] = 200
    # The one is the other, 2.4 times as large.
    one = np.asarray(Image.fromarray(small).filter(ImageFilter.GaussianBlur(2)))
    other = np.asarray(Image.fromarray(large).filter(ImageFilter.GaussianBlur(4.8)))
    assert own_photos._aligned_correlation(one, other) < own_photos.ALIGNED
    monkeypatch.setattr(own_photos, "ZOOM", np.inf)
    assert own_photos._aligned_correlation(one, other) > 0.98


def test_training_is_extended_behind_and_only_where_it_fits(photos):
    added, _ = add_faces(photos, DATA)
    more = extend(DATA["train"], added)
    assert len(more) == 44 and (more.images[42:] == added.images).all()
    assert more.classes[42:].tolist() == added.classes.tolist()
    assert len(set(more.ids)) == 44 and "+ 2 additions" in more.name
    votes = extend(dataclasses.replace(DATA["train"], labels=DATA["train"].targets), added)
    assert votes.labels.shape == (44, 7)
    with pytest.raises(ValueError, match="one label set and image size"):
        extend(Faces(added.images[:, :32, :32], added.labels, added.label_set), added)


def test_nothing_to_add_is_an_empty_addition(tmp_path):
    write(tmp_path, "happy/nobody.png", NEW.images[4], side=220)
    faces, table = add_faces(tmp_path, DATA)
    assert len(faces) == 0 and len(table) == 1 and len(extend(DATA["train"], faces)) == 42


@pytest.mark.realdata
def test_a_face_is_taken_out_of_a_real_photograph(shared, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("FER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FER_WEIGHTS", str(shared / "peers"))
    (tmp_path / "wild" / "neutral").mkdir(parents=True)
    for name in ("grace_hopper.png", "solvay_1927_29_people.jpg"):
        (tmp_path / "wild" / "neutral" / name).write_bytes((shared / "media" / name).read_bytes())
    faces, table = add_faces(tmp_path / "wild", DATA, embed=None)
    assert faces.ids.tolist() == ["neutral/grace_hopper.png#1"]
    assert (table[table.photo.str.contains("solvay")].verdict == "rejected").all()
