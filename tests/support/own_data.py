"""Layouts in which people have faces, written from any faces: one function per layout.

Each `write(folder, faces)` puts the same faces into a folder in another form, and `LAYOUTS` says
what loading needs to be told and what must come out. To add a layout, write its function and enter
it there: the tests run over the table, on tiny faces and on the real data.

    python tests/support/own_data.py DEST [SOURCE]   # writes them all, and says what loading prints
"""

import csv
import gzip
import io
import shutil
import sys
import tarfile
import typing
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from fer_lib.data.faces import Faces
from fer_lib.data.readers.labels import SCHEMES
from fer_lib.emotions import FER7

USAGES = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


class Layout(typing.NamedTuple):
    """What a layout needs and gives.

    Args:
        write: Function of a folder and of `Faces` with `usage` train or test, and `groups`.
        options: Options that `load_dataset` needs.
        splits: Whether the splits come out as they went in.
        subjects: Whether the subjects come out.
        path: What is loaded, relative to the folder.
        pictures: How many pictures stand for each face.
    """

    write: typing.Callable
    options: dict = {}
    splits: bool = True
    subjects: bool = False
    path: str = "."
    pictures: int = 1


def tiny(per_class=6, *, classes=FER7, subjects=10, size=48, seed=0):
    """Faces that differ in every pixel: `train` and a fifth as many `test`, with subjects."""
    rng = np.random.default_rng(seed)
    n = len(classes) * per_class * subjects // 2
    images = rng.integers(0, 256, (n, size, size), dtype=np.uint8)
    groups = np.arange(n) // (n // subjects)
    usage = np.where(groups >= subjects - max(1, subjects // 5), "test", "train")
    labels = np.arange(n) % len(classes)
    return Faces(images, labels, classes, groups=groups, usage=usage, ids=np.arange(n))


def rows(faces):
    """Yield `(number, image, emotion, split, subject)` of each face."""
    groups = faces.groups if faces.groups is not None else [""] * len(faces)
    usage = faces.usage if faces.usage is not None else [""] * len(faces)
    for number, (image, label, split, group) in enumerate(
        zip(faces.images, faces.classes, usage, groups, strict=True)
    ):
        yield number, image, faces.label_set[label], str(split), str(group)


def save(path, image):
    """Write an image, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def folders(pattern):
    """Return a writer of image files named by a pattern of number, emotion, split, subject."""

    def write(folder, faces):
        for number, image, emotion, split, subject in rows(faces):
            name = pattern(number, emotion, split, subject)
            save(folder / name, image)

    return write


def tables(pattern, header, fields, delimiter=",", image=None):
    """Return a writer of CSV files named by a pattern of the split, and of the images they list."""

    def write(folder, faces):
        lines = {}
        for number, pixels, emotion, split, subject in rows(faces):
            name = (image or "images/{n:05}.png").format(n=number, s=split)
            save(folder / name, pixels)
            values = fields(name, emotion, split, subject)
            lines.setdefault(pattern.format(s=split), []).append(values)
        for name, values in lines.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with open(folder / name, "w", newline="") as file:
                csv.writer(file, delimiter=delimiter).writerows([header, *values])

    return write


def pixel_text(image):
    """Return the pixels of an image as FER-2013's CSV has them."""
    return " ".join(map(str, image.ravel().tolist()))


def pixel_tables(pattern, header="emotion,pixels,Usage"):
    """Return a writer of tables of FER-2013's form."""

    def write(folder, faces):
        lines = {}
        for _, image, emotion, split, _ in rows(faces):
            values = {
                "emotion": FER7.index(emotion),
                "pixels": pixel_text(image),
                "usage": USAGES[split],
            }
            fields = [str(values[c.strip().lower()]) for c in header.split(",")]
            lines.setdefault(pattern.format(s=split), [header]).append(",".join(fields))
        for name, text in lines.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("\n".join(text) + "\n")

    return write


def zipped(write, pattern="all.zip"):
    """Return a writer that puts what another one writes into a zip, or one per split."""

    def write_zip(folder, faces):
        inner = folder / "inner"
        write(inner, faces)
        for file in sorted(path for path in inner.rglob("*") if path.is_file()):
            name = file.relative_to(inner)
            split = name.parts[0] if "{s}" in pattern else ""
            with zipfile.ZipFile(folder / pattern.format(s=split), "a") as archive:
                archive.write(file, name.relative_to(split) if split else name)
        shutil.rmtree(inner)

    return write_zip


def tarred(write, name="fer2013.tar.gz"):
    """Return a writer that puts what another one writes into a tar file."""

    def write_tar(folder, faces):
        write(folder / "inner", faces)
        with tarfile.open(folder / name, "w:gz") as archive:
            archive.add(folder / "inner", "fer2013")
        shutil.rmtree(folder / "inner")

    return write_tar


def write_gz(folder, faces):
    """`fer2013.csv.gz`."""
    pixel_tables("fer2013.csv")(folder, faces)
    (folder / "fer2013.csv.gz").write_bytes(gzip.compress((folder / "fer2013.csv").read_bytes()))
    (folder / "fer2013.csv").unlink()


def write_linked(folder, faces):
    """`train` and `test` are symbolic links to folders elsewhere."""
    elsewhere = folder.parent / f"{folder.name} elsewhere"
    folders(lambda n, e, s, g: f"{s}/{e}/{n}.png")(elsewhere, faces)
    folder.mkdir(parents=True, exist_ok=True)
    for split in sorted(set(faces.usage.tolist())):
        (folder / split).symlink_to((elsewhere / split).resolve())


def write_twice(folder, faces):
    """Class folders that were unpacked into themselves: `images/` and `images/images/`."""
    for root in ("images", "images/images"):
        folders(lambda n, e, s, g: f"{root}/{s}/{e}/{n}.png")(folder, faces)  # noqa: B023


def write_table_and_folders(folder, faces):
    """`train.csv` lists the training faces; the test faces lie in class folders."""
    train, test = faces[faces.usage == "train"], faces[faces.usage == "test"]
    tables("{s}.csv", ["image", "label"], lambda i, e, s, g: [i, e])(folder, train)
    folders(lambda n, e, s, g: f"test/{e}/{n}.png")(folder, test)


def write_npz(folder, faces):
    """`X_train`, `y_train`, `X_test`, `y_test` in one file."""
    arrays = {}
    for split in ("train", "test"):
        part = faces[faces.usage == split]
        arrays |= {f"X_{split}": part.images[..., None] / 255.0, f"y_{split}": part.classes}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "faces.npz", **arrays)


def write_npy(folder, faces):
    """`X_train.npy` and so on, labels one column per class."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        part = faces[faces.usage == split]
        np.save(folder / f"X_{split}.npy", part.images)
        np.save(folder / f"y_{split}.npy", np.eye(len(faces.label_set))[part.classes])


def write_parquet(folder, faces):
    """Hugging Face's files: pictures as bytes, the names of classes in the schema."""
    import json

    import pyarrow as pa
    from pyarrow import parquet

    names = {"label": {"names": list(faces.label_set), "_type": "ClassLabel"}}
    about = {b"huggingface": json.dumps({"info": {"features": names}}).encode()}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        part = faces[faces.usage == split]
        images = [{"bytes": _png(image), "path": None} for image in part.images]
        table = pa.table({"image": images, "label": part.classes})
        parquet.write_table(
            table.replace_schema_metadata(about),
            folder / "data" / f"{split}-00000-of-00001.parquet",
        )


def _png(image):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


def write_one_hot(folder, faces):
    """Roboflow's `_classes.csv`, one 0/1 column per class, in each split's folder."""
    header = ["filename", *(f" {name}" for name in faces.label_set)]

    def fields(image, emotion, split, group):
        return [Path(image).name, *(int(emotion == name) for name in faces.label_set)]

    tables("{s}/_classes.csv", header, fields, image="{s}/{n:05}.png")(folder, faces)


def write_affectnet(folder, faces):
    """AffectNet's `annotations/0_exp.npy` beside `images/0.jpg` (here .png)."""
    codes = {name: code for code, name in SCHEMES["affectnet"].items()}
    for number, image, emotion, split, _ in rows(faces):
        root = folder / {"train": "train_set", "test": "val_set"}[split]
        save(root / "images" / f"{number}.png", image)
        (root / "annotations").mkdir(exist_ok=True)
        np.save(root / "annotations" / f"{number}_exp.npy", np.array(str(codes[emotion])))


def write_ferplus(folder, faces):
    """The folders that FERPlus's `generate_training_data.py` writes."""
    from fer_lib.emotions import FERPLUS8

    lines = {}
    for number, image, emotion, split, _ in rows(faces):
        root = {"train": "FER2013Train", "test": "FER2013Test"}[split]
        save(folder / root / f"fer{number:07}.png", image)
        votes = [9 * (emotion == name) for name in FERPLUS8]
        votes = [f"fer{number:07}.png", "(0, 0, 48, 48)", *votes, 1, 0]
        lines.setdefault(root, []).append(votes)
    for root, values in lines.items():
        with open(folder / root / "label.csv", "w", newline="") as file:
            csv.writer(file).writerows(values)


def write_ckplus(folder, faces):
    """The original CK+: frames of sequences, and a code for the last one."""
    codes = {name: code for code, name in SCHEMES["ckplus"].items()}
    for number, image, emotion, _, subject in rows(faces):
        name, sequence = f"S{int(subject):03}", f"{number:03}"
        stem = f"{name}_{sequence}"
        for frame in range(1, 5):
            shade = np.roll(image, 4 - frame)
            save(folder / "cohn-kanade-images" / name / sequence / f"{stem}_{frame:08}.png", shade)
        mark = folder / "Emotion" / name / sequence / f"{stem}_00000004_emotion.txt"
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(f"   {codes[emotion]}.0000000e+00\n")


def write_ckextended(folder, faces):
    """Kaggle's ckextended.csv: FER-2013's numbers, and 7 for contempt."""
    pixel_tables("ckextended.csv")(folder, faces)


def write_expw(folder, faces):
    """ExpW's `label.lst`: a box and a code for each face of a picture."""
    lines = []
    for number, image, emotion, _, _ in rows(faces):
        save(folder / "image" / f"{number}.png", np.pad(image, ((10, 6), (20, 4))))
        side = image.shape[0]
        lines.append(f"{number}.png 0 10 20 {20 + side} {10 + side} 99.5 {FER7.index(emotion)}")
    (folder / "label.lst").write_text("\n".join(lines) + "\n")


def write_coco(folder, faces):
    """COCO's JSON per split: boxes and categories."""
    import json

    for split in ("train", "test"):
        images, marks = [], []
        for number, image, emotion, own, _ in rows(faces):
            if own == split:
                save(folder / split / f"{number}.png", np.pad(image, 8))
                images.append({"id": number, "file_name": f"{number}.png"})
                box = [8, 8, image.shape[1], image.shape[0]]
                category = faces.label_set.index(emotion)
                marks.append({"image_id": number, "category_id": category, "bbox": box})
        categories = [{"id": i, "name": name} for i, name in enumerate(faces.label_set)]
        content = {"images": images, "annotations": marks, "categories": categories}
        (folder / split / "_annotations.coco.json").write_text(json.dumps(content))


def write_yolo(folder, faces):
    """YOLO's export: `data.yaml`, `images/` and `labels/` per split."""
    names = "".join(f"- {name}\n" for name in faces.label_set)
    for number, image, emotion, split, _ in rows(faces):
        save(folder / split / "images" / f"{number}.png", np.pad(image, 24))
        mark = folder / split / "labels" / f"{number}.txt"
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(f"{faces.label_set.index(emotion)} 0.5 0.5 0.5 0.5\n")
    (folder / "data.yaml").write_text(f"names:\n{names}")


def write_rafdb(folder, faces):
    """RAF-DB as Kaggle has it: numbered folders, and a table per split that lists their files."""
    codes = {name: code for code, name in SCHEMES["rafdb"].items()}
    lines = {}
    for number, image, emotion, split, _ in rows(faces):
        name = f"{split}_{number:05}_aligned.png"
        save(folder / "DATASET" / split / str(codes[emotion]) / name, image)
        lines.setdefault(split, ["image,label"]).append(f"{name},{codes[emotion]}")
    for split, text in lines.items():
        (folder / f"{split}_labels.csv").write_text("\n".join(text) + "\n")


_KDEF = dict(zip(FER7, ("AN", "DI", "AF", "HA", "SA", "SU", "NE"), strict=True))
_JAFFE = dict(zip(FER7, ("AN", "DI", "FE", "HA", "SA", "SU", "NE"), strict=True))


def kdef(number, emotion, split, subject):
    """Return a name of KDEF: session, sex and number of the model, expression, angle."""
    person = f"{'FM'[int(subject) % 2]}{int(subject):02}"
    angle = ("S", "HL", "HR", "FL", "FR")[number // len(FER7) % 5]
    session = "AB"[number // (5 * len(FER7)) % 2]
    return f"{session}{person}/{session}{person}{_KDEF[emotion]}{angle}.png"


def jaffe(number, emotion, split, subject):
    """Return a name of JAFFE in class folders."""
    person = f"{chr(65 + int(subject))}{chr(75 + int(subject))}"
    return f"{emotion}/{person}.{_JAFFE[emotion]}{number % 4}.{number}.png"


_PAIR = {"header": ["image", "label"], "fields": lambda i, e, s, g: [i, e]}
_CLASS_FOLDERS = folders(lambda n, e, s, g: f"{s}/{e}/{n}.png")

LAYOUTS = {
    "train and test tables": Layout(tables("{s}_labels.csv", **_PAIR)),
    "train and test zips": Layout(zipped(_CLASS_FOLDERS, "{s}.zip")),
    "a table beside class folders": Layout(write_table_and_folders),
    "train_data and test_data": Layout(folders(lambda n, e, s, g: f"{s}_data/{e}/{n}.png")),
    "Train Set": Layout(folders(lambda n, e, s, g: f"{s.title()} Set/{e}/{n}.png")),
    "images below the split": Layout(folders(lambda n, e, s, g: f"x/{s}/images/{e}/{n}.png")),
    "the split below the class": Layout(folders(lambda n, e, s, g: f"{e}/{s}/{n}.png")),
    "Training and PrivateTest": Layout(folders(lambda n, e, s, g: f"{USAGES[s]}/{e}/{n}.png")),
    "numbered folders": Layout(
        folders(lambda n, e, s, g: f"{s}/{FER7.index(e)}/{n}.png"), {"labels": "fer2013"}
    ),
    "numbers and names": Layout(folders(lambda n, e, s, g: f"{s}/{FER7.index(e)}_{e}/{n}.png")),
    "folders of subjects": Layout(
        folders(lambda n, e, s, g: f"S{g}/{e}/{n}.png"), splits=False, subjects=True
    ),
    "folders twice": Layout(write_twice),
    "linked folders": Layout(write_linked),
    "fer2013.csv": Layout(pixel_tables("fer2013.csv")),
    "icml_face_data.csv": Layout(pixel_tables("icml_face_data.csv", "emotion, Usage, pixels")),
    "train.csv and test.csv": Layout(pixel_tables("{s}.csv", "emotion,pixels")),
    "ckextended.csv": Layout(write_ckextended),
    "fer2013.csv.gz": Layout(write_gz, path="fer2013.csv.gz"),
    "fer2013.tar.gz": Layout(tarred(pixel_tables("fer2013.csv"))),
    "a tar file of class folders": Layout(tarred(_CLASS_FOLDERS, "faces.tgz")),
    "a zip of a table": Layout(
        zipped(tables("data.csv", ["pth", "target", "split"], lambda i, e, s, g: [i, e, s]))
    ),
    "semicolons and numbers": Layout(
        tables(
            "data.csv",
            ["img_path", "emotion", "usage", "subject"],
            lambda i, e, s, g: [i, FER7.index(e), USAGES[s], f"p{g}"],
            ";",
        ),
        {"labels": "fer2013"},
        subjects=True,
    ),
    "tabs": Layout(
        tables("data.tsv", ["file", "class", "set"], lambda i, e, s, g: [i, e, s], "\t")
    ),
    "names of files without folders": Layout(
        tables("{s}.csv", ["image", "label"], lambda i, e, s, g: [Path(i).name, e])
    ),
    "a table that is given itself": Layout(
        tables("data.csv", ["image", "label", "split"], lambda i, e, s, g: [i, e, s]),
        path="data.csv",
    ),
    "one column per class": Layout(write_one_hot),
    "npz": Layout(write_npz, {"labels": "fer2013"}),
    "npy": Layout(write_npy, {"labels": "fer2013"}),
    "Parquet": Layout(write_parquet),
    "AffectNet": Layout(write_affectnet),
    "FERPlus's folders": Layout(write_ferplus),
    "CK+ as it comes": Layout(write_ckplus, splits=False, subjects=True, pictures=3),
    "KDEF": Layout(folders(kdef), splits=False, subjects=True),
    "JAFFE in class folders": Layout(folders(jaffe), splits=False, subjects=True),
    "ExpW": Layout(write_expw, splits=False),
    "COCO": Layout(write_coco),
    "YOLO": Layout(write_yolo),
    "RAF-DB from Kaggle": Layout(write_rafdb, {"labels": "rafdb"}),
}


def write(name, folder, faces):
    """Write faces in a layout and return the path to load."""
    LAYOUTS[name].write(folder, faces)
    return folder / LAYOUTS[name].path


def main():
    """Write every layout and say what loading it prints."""
    import traceback

    from fer_lib.data import catalogue

    faces = tiny()
    if len(sys.argv) > 2:
        faces = catalogue.sources.read(Path(sys.argv[2]))
    for name in LAYOUTS:
        path = write(name, Path(sys.argv[1]) / name.replace("/", " "), faces)
        print(f"\n=== {name}")
        try:
            loaded = catalogue.load_dataset(path, **LAYOUTS[name].options)
            print(catalogue.describe(path, loaded))
        except Exception:
            print(traceback.format_exc())


if __name__ == "__main__":
    main()
