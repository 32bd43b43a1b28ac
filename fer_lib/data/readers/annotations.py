"""Labels that stand in files of their own: the forms of known data sets and of annotation tools.

Each `find_…(files, load, labels)` returns `(entries, notes)`, without entries where the files are
of another form.
"""

import csv
import io
import json
import re
from pathlib import PurePosixPath

import numpy as np

from fer_lib import emotions
from fer_lib.data.readers import labels as reading
from fer_lib.data.readers import names, pictures
from fer_lib.data.readers.image_files import Entry
from fer_lib.data.readers.votes import counted, majority

_FERPLUS_SPLITS = {"fer2013train": "Training", "fer2013valid": "PublicTest"} | {
    "fer2013test": "PrivateTest"
}
_BOX = re.compile(r"\(\d+(?:, *\d+){3}\)")
_RAFDB_LISTS = ("list_patition_label.txt", "list_partition_label.txt")
_FRAME = re.compile(r"(.+)_(\d+)$")
_KDEF = re.compile(r"[AB][FM]\d{2}(AF|AN|DI|HA|NE|SA|SU)(?:FL|HL|S|HR|FR)", re.IGNORECASE)
_CODED = (
    re.compile(r"[A-Z]{2}\.(AN|DI|FE|HA|NE|SA|SU)\d\.\d+", re.IGNORECASE),  # JAFFE
    re.compile(r"\d{4}_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_\w+"),  # CREMA-D
)


def find_coco(files, load, labels):
    """Read COCO's JSON: categories are classes, boxes are faces."""
    entries, notes = [], []
    for table in sorted(name for name in files if name.lower().endswith(".json")):
        try:
            content = json.loads(load(table))
            images = {image["id"]: image["file_name"] for image in content["images"]}
            classes = {c["id"]: c["name"] for c in content["categories"]}
            marks = content["annotations"]
            marks = [(mark["image_id"], mark["category_id"], mark.get("bbox")) for mark in marks]
        except (ValueError, KeyError, TypeError):
            continue
        folder, known = PurePosixPath(table).parent, _by_name(files)
        for number, (image, category, bbox) in enumerate(marks, start=1):
            where = f"{table} annotation {number}"
            name = (folder / images.get(image, "")).as_posix()
            name = name if name in files else known.get(images.get(image), "")
            label = classes.get(category, "")
            emotion, fault = labels.tell(label)
            split, _, unclear = names.splits_above(PurePosixPath(name or table).parts[:-1])
            box = (bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3]) if bbox else None
            fault = fault or unclear or ("" if name else "names a picture that is not there")
            face = f"{name}#{number}" if bbox else ""
            entries.append(Entry(name, emotion, split, "", fault, where, label, box, face))
        notes.append(f"{table} → COCO annotations: {len(marks):,} faces")
    return entries, notes


def find_yolo(files, load, labels):
    """Read YOLO's export: `data.yaml` names the classes, `labels/x.txt` marks the faces."""
    tables = [n for n in files if PurePosixPath(n).name in ("data.yaml", "data.yml", "classes.txt")]
    if not tables:
        return [], []
    classes = _yolo_classes(tables[0], load)
    marks = {n for n in files if n.lower().endswith(".txt") and "labels" in PurePosixPath(n).parts}
    entries = []
    for name in sorted(name for name in files if name.lower().endswith(pictures.SUFFIXES)):
        path = PurePosixPath(name)
        parts = ["labels" if part == "images" else part for part in path.parts[:-1]]
        mark = PurePosixPath(*parts, f"{path.stem}.txt").as_posix()
        if mark not in marks:
            continue
        split, _, unclear = names.splits_above(path.parts[:-1])
        for number, line in enumerate(load(mark).decode("utf-8", "replace").splitlines(), start=1):
            if not line.strip():
                continue
            where = f"{mark} line {number}"
            try:
                code, x, y, width, height = map(float, line.split()[:5])
                label = classes[int(code)]
            except (ValueError, IndexError):
                fault = f"must be like '3 0.5 0.5 0.2 0.3'; it is {line[:40]!r}"
                entries.append(Entry(name, None, split, "", fault, where))
                continue
            emotion, fault = labels.tell(label)
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            face = f"{name}#{number}"
            fault = fault or unclear
            entries.append(Entry(name, emotion, split, "", fault, where, label, box, face))
    return entries, [f"{tables[0]} → YOLO annotations: {len(entries):,} faces"] if entries else []


def _yolo_classes(table, load):
    text = load(table).decode("utf-8", "replace")
    if table.endswith(".txt"):
        return text.split()
    import yaml

    try:
        classes = yaml.safe_load(text).get("names", [])
    except (yaml.YAMLError, AttributeError):
        return []
    return list(map(str, classes.values() if isinstance(classes, dict) else classes))


def find_ferplus(files, load, labels):
    """Read the folders that FERPlus's `generate_training_data.py` writes, by majority."""
    entries, notes = [], []
    for table in sorted(name for name in files if PurePosixPath(name).name == "label.csv"):
        rows = list(csv.reader(io.StringIO(load(table).decode("utf-8-sig", "replace"))))
        rows = [row for row in rows if len(row) >= 10 and _BOX.fullmatch(row[1].strip())]
        if not rows:
            continue
        folder = PurePosixPath(table).parent
        split = _FERPLUS_SPLITS.get(folder.name.lower(), "") or names.split_of(folder.name)
        votes = np.array([(list(map(float, row[2:12])) + [0, 0])[:10] for row in rows])
        chosen, reasons = majority(counted(votes))
        for row, place, reason in zip(rows, chosen, reasons, strict=True):
            name = (folder / row[0].strip()).as_posix()
            emotion, fault = None, f"{reading.LEFT_OUT}, {reason}"
            if place >= 0:
                emotion, fault = labels.tell(emotions.FERPLUS8[place])
            fault = fault or ("" if name in files else "is not beside the table")
            entries.append(Entry(name, emotion, split, "", fault, f"{table} ({row[0]})"))
        notes.append(
            f"{table} → {split or 'all faces'}: FER+ votes of {len(rows):,} faces, majority"
        )
    return entries, notes


def find_affectnet(files, load, labels):
    """Read AffectNet's `annotations/0_exp.npy` beside `images/0.jpg`."""
    scheme = reading.Labels(labels.classes, labels.scheme or "affectnet", labels.drop)
    entries, known = [], _by_stem(files)
    for mark in sorted(name for name in files if name.endswith("_exp.npy")):
        path = PurePosixPath(mark)
        stem, above = path.name.removesuffix("_exp.npy"), path.parent.parent.as_posix()
        name = known.get((f"{above}/images".removeprefix("./"), stem), "")
        split, _, unclear = names.splits_above(path.parts[:-1])
        try:
            code = str(np.load(io.BytesIO(load(mark)), allow_pickle=False).item())
            emotion, fault = scheme.tell(code)
        except ValueError as error:
            code, emotion, fault = "", None, f"is no number of an expression ({error})"
        if code in ("8", "9", "10"):  # none, uncertain, no face
            fault = f"{reading.LEFT_OUT}, it shows none of the eight expressions ({code})"
        fault = fault or unclear or ("" if name else "has no picture in images/")
        entries.append(Entry(name, emotion, split, "", fault, mark, code))
    return entries, [f"AffectNet's annotations: {len(entries):,} faces"] if entries else []


def find_ckplus(files, load, labels):
    """Read the original CK+: the last three frames of each sequence that has a label."""
    marks = [name for name in sorted(files) if name.endswith("_emotion.txt")]
    if not marks:
        return [], []
    frames, entries = {}, []
    for name in sorted(files):
        match = _FRAME.fullmatch(PurePosixPath(name).stem)
        if match and name.lower().endswith(pictures.SUFFIXES):
            frames.setdefault(match[1], []).append(name)
    scheme = reading.Labels(labels.classes, labels.scheme or "ckplus", labels.drop)
    for mark in marks:
        sequence = _FRAME.fullmatch(PurePosixPath(mark).stem.removesuffix("_emotion"))
        text = load(mark).decode("utf-8", "replace").strip()
        emotion, fault = scheme.tell(text)
        last = frames.get(sequence[1] if sequence else "", [])[-3:]
        if not last:
            entries.append(Entry("", emotion, "", "", "has no frames", mark, text))
        entries += [Entry(name, emotion, "", "", fault, "", text) for name in last]
    number = sum(len(group) for group in frames.values()) - len(entries)
    return entries, [
        f"CK+'s sequences: the last three frames of {len(marks):,} with a label; {number:,} other "
        "frames are not read; the pictures are not cut out to the face"
    ]


def find_expw(files, load, labels):
    """Read ExpW's `label.lst`: picture, number, box (top, left, right, bottom), score, code."""
    lists = [name for name in files if PurePosixPath(name).name == "label.lst"]
    if not lists:
        return [], []
    scheme = reading.Labels(labels.classes, labels.scheme or "fer2013", labels.drop)
    entries, known = [], _by_name(files)
    for number, line in enumerate(load(lists[0]).decode("utf-8", "replace").splitlines(), start=1):
        fields, where = line.split(), f"{lists[0]} row {number}"
        if not fields:
            continue
        if len(fields) != 8:
            entries.append(Entry("", fault=f"has {len(fields)} fields instead of 8", where=where))
            continue
        name, (top, left, right, bottom) = known.get(fields[0], ""), map(float, fields[2:6])
        emotion, fault = scheme.tell(fields[7])
        fault = fault or ("" if name else f"{fields[0]!r} is not there")
        box, face = (left, top, right, bottom), f"{name}#{fields[1]}"
        entries.append(Entry(name, emotion, "", name, fault, where, fields[7], box, face))
    return entries, [f"{lists[0]} → ExpW's list: {len(entries):,} faces, one group per picture"]


def find_rafdb(files, load, labels):
    """Read RAF-DB's list (`train_00001.jpg 5`) and the aligned faces that it lists."""
    lists = [name for name in sorted(files) if PurePosixPath(name).name in _RAFDB_LISTS]
    if not lists:
        return [], []
    scheme = reading.Labels(labels.classes, "rafdb", labels.drop)
    aligned, entries = {}, []
    for name in sorted(name for name in files if name.lower().endswith(pictures.SUFFIXES)):
        path = PurePosixPath(name)
        if path.stem.endswith("_aligned") or "aligned" in path.parts:
            aligned[path.stem.removesuffix("_aligned")] = name
    text = load(lists[0]).decode("utf-8", "replace")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    for number, fields in enumerate(rows, start=1):
        where = f"{PurePosixPath(lists[0]).name} row {number}"
        stem = PurePosixPath(fields[0]).stem
        split, name = stem.partition("_")[0], aligned.pop(stem, "")
        emotion, fault = scheme.tell(fields[1]) if len(fields) == 2 else (None, "")
        left_out = fault.startswith(reading.LEFT_OUT)
        if (emotion is None and not left_out) or split not in ("train", "test"):
            fault = f"must be like 'train_00001.jpg 5'; it is {' '.join(fields)[:40]!r}"
        elif not name:
            fault = f"has no aligned image ({stem}_aligned.jpg), or is listed twice"
        entries.append(Entry(name, emotion, split, fault=fault, where=where))
    left = [Entry(name, fault=f"is not in {lists[0]}") for name in aligned.values()]
    return [*entries, *left], [f"RAF-DB's list {lists[0]}: {len(entries):,} faces"]


def find_file_names(files, load, labels):
    """Read pictures whose names tell the class: KDEF, JAFFE, CREMA-D, or a word for an emotion."""
    images = sorted(name for name in files if name.lower().endswith(pictures.SUFFIXES))
    entries = []
    for name in images:
        path = PurePosixPath(name)
        label = _coded(path.stem)
        if not label:
            told = {word: labels.tell(word)[0] for word in names.words(path.stem) if len(word) > 2}
            found = {emotion for emotion in told.values() if emotion}
            label = next(iter(found)) if len(found) == 1 else ""
        emotion, fault = labels.tell(label) if label else (None, "names no emotion, or several")
        split, _, unclear = names.splits_above(path.parts[:-1])
        entries.append(Entry(name, emotion, split, "", fault or unclear, "", label))
    if 2 * sum(entry.emotion is not None for entry in entries) < len(entries):
        return [], []
    return entries, [f"the names of files tell the class: {len(entries):,} pictures"]


def _coded(stem):
    if match := _KDEF.fullmatch(stem):
        return "fear" if match[1].upper() == "AF" else emotions.canonical(match[1])
    match = next((m for m in (pattern.fullmatch(stem) for pattern in _CODED) if m), None)
    return emotions.canonical(match[1]) if match else ""


def _by_name(files):
    return {PurePosixPath(name).name: name for name in files}


def _by_stem(files):
    found = {}
    for name in files:
        path = PurePosixPath(name)
        if name.lower().endswith(pictures.SUFFIXES):
            found[path.parent.as_posix(), path.stem] = name
    return found
