"""In-the-wild additions: faces out of ordinary photographs, for training only.

Every face is told why it was added or left out, and none is a copy of a face that is scored on.
"""

import functools
import textwrap
import warnings
from pathlib import Path

import numpy as np

from fer_lib import emotions
from fer_lib.data import duplicates
from fer_lib.data.exploration import sharpness
from fer_lib.data.faces import Faces
from fer_lib.data.readers import archives, path_tables
from fer_lib.data.readers import labels as reading
from fer_lib.data.readers.image_files import Entry
from fer_lib.data.readers.names import SPLIT_WORDS
from fer_lib.screen import progress
from fer_lib.vision import detection, pictures

MIN_SIDE = 40  # pixels; a smaller face holds less than the 48 x 48 it is blown up to
BLURRED = 0.01  # of the training faces are less sharp than what is taken
SIMILARITY = 0.95  # cosine of two embeddings from which they show one picture
NEIGHBOURS = 20  # faces nearest by embedding that are laid over a new one
ALIGNED = 0.96  # correlation when laid over: FER-2013 has other people up to 0.95, copies from 0.98
ZOOM = 1.6  # most that one of them may be stretched or shrunk for that
OUTLIERS = 0.99  # of the training faces are nearer to the middle of their class
HELD_OUT = ("test", "validation")

COLUMNS = "photo face emotion width height sharpness verdict reason outlier crop".split()


def add_faces(
    folder, data, *, detector="auto", min_side=MIN_SIDE, embed="auto", drop=(), name=None
):
    """Take the faces of labelled photographs that training may be extended by.

    The label is the photograph's, so one with several faces of `min_side` or more is left out: it
    does not say whose expression was meant. What is left out, and why, stands in the table.

    Args:
        folder: Folder of class folders with photographs, or a CSV file of `path,label` (as
            `path_tables` reads it).
        data: Dict of `Faces` that is to be extended, with the key `"train"`; faces that equal or
            nearly equal one of `"test"` or `"validation"` are refused.
        detector: Key of `detection.DETECTORS` or `"auto"`.
        min_side: Smallest width and height of a face in the photograph, in pixels.
        embed: Function from `uint8` images `(n, height, width)` to `(n, d)`, by whose cosine
            copies are found that were cut out differently, and outliers of their class listed;
            `"auto"` for ResNet-50 where its ImageNet weights can be had, else MobileNetV2;
            `None` for pixels alone.
        drop: Names of folders or labels to leave out, as a sequence or joined by commas.
        name: What the faces are called. Defaults to the folder's name.

    Returns:
        `(faces, table)`: `Faces` of the label set of `data` with `ids` `"<photo>#<face>"`, and a
        `DataFrame`, one row per face or photograph without one: `photo`, `face`, `emotion`,
        `width`, `height`, `sharpness`, `verdict` (`"added"`, `"rejected"` or `"refused"`, the
        last of copies of held-out faces), `reason`, `outlier` (added, but to be looked at) and
        `crop` (place in `faces`, or -1). `table.attrs["notice"]` says what was compared.

    Raises:
        ValueError: If there are no photographs, or a label is unknown; the message lists the
            known ones and the nearest.
    """
    import pandas as pd

    train, folder = data["train"], Path(folder)
    detector, warning = detection.resolve_auto(detector)
    if warning:  # once, not for every photograph
        warnings.warn(warning, stacklevel=2)
    embed, least, notice = _embedding() if embed == "auto" else (embed, SIMILARITY, "")
    size = train.images.shape[1:]
    rows, crops = [], [np.empty((0, *size), np.uint8)]
    photographs, faults = _labelled(folder, drop)
    for photo, emotion in photographs:
        found, crop = _faces_of(folder, photo, emotion, train.label_set, detector, min_side, size)
        rows += found
        crops.append(crop)
    rows += [_row(*fault.split(": ", 1)) for fault in faults]
    crops = np.concatenate(crops)
    _reject_blurred(rows, crops, train)
    _refuse_copies(rows, crops, data)
    if embed is not None:
        _compare(rows, crops, data, embed, least)
        notice = notice or "Compared with the data set by pixels and embeddings."
    added = [row for row in rows if row["verdict"] == "added"]
    places = [row["crop"] for row in added]
    for number, row in enumerate(added):
        row["crop"] = number
    for row in rows:
        row["crop"] = row["crop"] if row["verdict"] == "added" else -1
    faces = Faces(
        crops[places],
        np.array([train.label_set.index(row["emotion"]) for row in added], np.int64),
        train.label_set,
        ids=np.array([f"{row['photo']}#{row['face']}" for row in added], dtype=str),
        name=name or f"additions from {folder.name}",
        skipped=[f"{r['photo']}: {r['reason']}" for r in rows if r["verdict"] != "added"],
    )
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.attrs["notice"] = notice or "Compared with the data set by pixels alone."
    return faces, table


def contact_sheet(folder, table, *, detector="auto", size=48):
    """Return the faces of a table of `add_faces` that want a look, for `plots.plot_faces`.

    What was left out is not kept, so its faces are cut out of the photographs once more.

    Args:
        folder: The folder or CSV file that was given to `add_faces`.
        table: Its table, or some rows of it. The outliers and what was refused are returned.
        detector: The detector that was given to `add_faces`.
        size: Side of the crops in pixels.

    Returns:
        `(images, captions)`: `uint8` array of shape `(n, size, size)`, and of each face its
        emotion and why it stands here.
    """
    folder = Path(folder)
    root = folder.parent if folder.is_file() else folder
    images, captions = [np.empty((0, size, size), np.uint8)], []
    for row in table[table.outlier | (table.verdict == "refused")].itertuples():
        image = pictures.read_photo(root / row.photo)
        face = detection.detect(image, detector)[row.face - 1]
        images.append(detection.crop_faces(image, [face], size))
        reason = row.reason or "far from the other faces of its class"
        lines = textwrap.wrap(f"{row.verdict}: {reason}", 24, break_on_hyphens=False)
        captions.append("\n".join([row.emotion, *lines]))
    return np.concatenate(images), captions


def extend(faces, added):
    """Return training faces with the added ones behind them.

    Args:
        faces: `Faces` to train on.
        added: `Faces` of the same label set and image size.

    Returns:
        `Faces`, `ids` as text; where `faces` have votes, the added labels become one-hot rows.
        An added face is a group of its own.

    Raises:
        ValueError: If label sets or image sizes differ.
    """
    if faces.label_set != added.label_set or faces.images.shape[1:] != added.images.shape[1:]:
        raise ValueError(
            f"{faces.name} and {added.name} must have one label set and image size; got "
            f"{faces.label_set} at {faces.images.shape[1:]} and {added.label_set} at "
            f"{added.images.shape[1:]}."
        )
    field = "labels" if faces.labels.ndim == 1 else "targets"
    groups = None
    if faces.groups is not None:
        groups = np.concatenate([faces.groups.astype(str), added.ids.astype(str)])
    return Faces(
        np.concatenate([faces.images, added.images]),
        np.concatenate([getattr(faces, field), getattr(added, field)]),
        faces.label_set,
        groups=groups,
        ids=np.concatenate([faces.ids.astype(str), added.ids.astype(str)]),
        name=f"{faces.name} + {len(added):,} {added.name}",
        skipped=(*faces.skipped, *added.skipped),
    )


def _embedding():
    """Return an embedding or `None`, the cosine from which it shows one picture, and a sentence."""
    from fer_lib.models import weights
    from fer_lib.training.features import network_features

    found, notice = weights.resolve_auto("resnet50", "ResNet50", 1.0)
    if found:
        return functools.partial(network_features, backbone="resnet50"), SIMILARITY, ""
    reason = notice.splitlines()[0] if notice else "no weights"
    found, _ = weights.resolve_auto("mobilenet_v2", "MobileNetV2", 1.0)
    words = f"Compared with the data set by pixels and {{}}, without ResNet-50 ({reason})."
    if not found:
        return None, None, words.replace(" and {}", " alone")
    # Trained on expressions it finds neighbours, but takes two happy faces for one picture.
    least = SIMILARITY if found == "imagenet" else 2.0
    embed = functools.partial(network_features, weights=found)
    return embed, least, words.format(f"MobileNetV2 ({found})")


def _labelled(source, drop):
    """Return `(photo, emotion or None where dropped)` of a folder or a table, and faults."""
    labels, faults = reading.understood(drop=drop), []
    if source.is_file():
        entries = path_tables.entries_of(source, labels)
    else:
        entries, faults = _of_folders(source, labels)
    if not entries:
        raise ValueError(f"{source} must hold photographs in folders named after emotions.")
    for entry in entries:
        unknown = entry.label and not entry.emotion
        unknown = unknown and not entry.fault.startswith(reading.LEFT_OUT)
        if unknown or "lies outside" in entry.fault:
            raise ValueError(f"{source}: {entry.where or entry.name}: {entry.fault}.")
    labelled = [(entry.name, entry.emotion) for entry in entries if entry.name]
    faults += [f"{entry.where}: {entry.fault}" for entry in entries if not entry.name]
    return progress(labelled, "photographs"), faults


def _of_folders(folder, labels):
    if not folder.is_dir():
        raise ValueError(f"{folder} must be a folder or a CSV file of path,label.")
    names, faults = archives.walk(folder)
    names = sorted(name for name in names if name.lower().endswith(pictures.SUFFIXES))
    outside = [n for n in names if Path(n).parent.name.lower() in ("", *SPLIT_WORDS)]
    if outside:
        raise ValueError(
            f"{folder}: {outside[0]} lies in no folder named after an emotion "
            f"({len(outside)} such photographs)."
        )
    entries = []
    for name in names:
        emotion, fault = labels.tell(label := Path(name).parent.name)
        entries.append(Entry(name, emotion, fault=fault, label=label))
    return entries, faults


def _faces_of(folder, photo, emotion, label_set, detector, min_side, size):
    """Return the rows of a photograph, and the crops that its rows number from `crop` on."""
    empty = np.empty((0, *size), np.uint8)
    row = _row(photo, "no face was found", emotion or "")
    if emotion not in label_set:
        reason = f"{emotion} is no class of the data set" if emotion else emotions.DROPPED
        return [row | {"reason": reason}], empty
    root = folder.parent if folder.is_file() else folder
    try:
        image = pictures.read_photo(root / photo)
    except ValueError as error:
        return [row | {"reason": str(error)}], empty
    found = detection.detect(image, detector)
    rows = [
        row | {"face": n, "width": round(face.width), "height": round(face.height)}
        for n, face in enumerate(found, start=1)
    ]
    large = [min(face.width, face.height) >= min_side for face in found]
    for of, fits in zip(rows, large, strict=True):
        of["reason"] = f"the photograph shows {sum(large)} faces, its label does not say whose"
        if not fits:
            of["reason"] = f"is smaller than {min_side} pixels"
    if sum(large) != 1:
        return rows or [row], empty
    place = large.index(True)
    rows[place] |= {"verdict": "added", "reason": "", "crop": 0}
    return rows, detection.crop_faces(image, [found[place]], size)


def _row(photo, reason, emotion=""):
    """Return the row of a photograph that is left out."""
    row = dict.fromkeys(COLUMNS, 0) | {"photo": photo, "emotion": emotion, "reason": reason}
    return row | {"verdict": "rejected", "outlier": False, "crop": -1, "sharpness": np.nan}


def _candidates(rows):
    return [row for row in rows if row["verdict"] == "added"]


def _reject_blurred(rows, crops, train):
    """Number the crops, and reject those that are less sharp than nearly all training faces."""
    least = float(np.quantile(sharpness(train.images), BLURRED))
    for place, (row, value) in enumerate(zip(_candidates(rows), sharpness(crops), strict=True)):
        row |= {"crop": place, "sharpness": float(value)}
        if value < least:
            reason = f"is blurred: sharpness {value:.0f}, below {least:.0f}"
            row |= {"verdict": "rejected", "reason": reason}


def _refuse_copies(rows, crops, data):
    """Refuse copies of held-out faces, reject those of training faces and of one another."""
    candidates = _candidates(rows)
    order = [split for split in (*HELD_OUT, "train") if split in data]
    places = [row["crop"] for row in candidates]
    images = np.concatenate([*(data[split].images for split in order), crops[places]])
    groups = duplicates.near_duplicate_groups(images)
    seen = {}
    ids = [(split, face) for split in order for face in data[split].ids.tolist()]
    for group, owner in zip(groups, ids, strict=False):
        seen.setdefault(int(group), owner)
    for row, group in zip(candidates, groups[len(ids) :], strict=True):
        if int(group) in seen:
            split, owner = seen[int(group)]
            verdict = "refused" if split in HELD_OUT else "rejected"
            row |= {"verdict": verdict, "reason": f"is a near-duplicate of {split} face {owner}"}
        else:
            seen[int(group)] = "added", f"{row['photo']}#{row['face']}"


def _compare(rows, crops, data, embed, least):
    """Leave out what is a picture that is there already, cut out otherwise; mark outliers."""
    candidates, train = _candidates(rows), data["train"]
    if not candidates:
        return
    images = crops[[row["crop"] for row in candidates]]
    new = _unit(embed(images))
    for split in HELD_OUT:
        if split in data:
            own = [f"{split} face {name}" for name in data[split].ids]
            known = _unit(embed(data[split].images))
            for place, row in enumerate(candidates):
                found = _same_picture(images[place], new[place], data[split].images, known, least)
                if found and row["verdict"] == "added":
                    row |= {
                        "verdict": "refused",
                        "reason": f"looks like {own[found[0]]} {found[1]}",
                    }
    for place, row in enumerate(candidates):
        before = [n for n in range(place) if candidates[n]["verdict"] == "added"]
        found = _same_picture(images[place], new[place], images[before], new[before], least)
        if found and row["verdict"] == "added":
            other = candidates[before[found[0]]]
            other = f"added face {other['photo']}#{other['face']}"
            row |= {"verdict": "rejected", "reason": f"looks like {other} {found[1]}"}
    known = _unit(embed(train.images))
    for emotion in {row["emotion"] for row in candidates}:
        own = known[train.classes == train.label_set.index(emotion)]
        if not len(own):
            continue
        middle = own.mean(axis=0)
        least = np.quantile(own @ middle, 1 - OUTLIERS)
        for row, vector in zip(candidates, new, strict=True):
            if row["emotion"] == emotion and row["verdict"] == "added":
                row["outlier"] = bool(vector @ middle < least)


def _same_picture(image, vector, images, vectors, least):
    """Return the place of the face that shows the same picture and how that is known, or `None`."""
    if not len(images):
        return None
    cosine = vectors @ vector
    nearest = np.argsort(-cosine, kind="stable")[:NEIGHBOURS]
    if cosine[nearest[0]] >= least:
        return nearest[0], f"(cosine {cosine[nearest[0]]:.3f})"
    fits = [_aligned_correlation(image, images[place]) for place in nearest]
    if max(fits) >= ALIGNED:
        return nearest[int(np.argmax(fits))], f"(laid over it: correlation {max(fits):.3f})"
    return None


def _aligned_correlation(image, other):
    """Return the correlation of two faces when one, or its mirror image, is laid over the other.

    The affine map is OpenCV's (Evangelidis and Psarakis 2008, 10.1109/TPAMI.2008.113).
    """
    import cv2

    enough, best = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-4), 0.0
    for second in (other, np.ascontiguousarray(other[:, ::-1])):
        warp = np.eye(2, 3, dtype=np.float32)
        try:
            fit, _ = cv2.findTransformECC(image, second, warp, cv2.MOTION_AFFINE, enough, None, 5)
        except cv2.error:  # they have too little in common
            continue
        # Far enough enlarged, some corner of any face fits any other.
        if max(zoom := np.linalg.svd(warp[:, :2])[1]) <= ZOOM and min(zoom) >= 1 / ZOOM:
            best = max(best, fit)
    return best


def _unit(vectors):
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
