"""Emotions over time: series, episodes with onset, apex and duration, and transitions.

The terms are those of the study of expressions as events (Ekman and Friesen's FACS): an episode
starts at its onset, is strongest at its apex, and ends at its offset. Every function takes the
table of `video.predict_video`.
"""

import numpy as np

from fer_lib.vision.face_table import COLUMNS

MAX_GAP = 0.5  # seconds without a face that end an episode
POINTS = 2000


def emotion_series(table, face=None, *, points=POINTS):
    """Return the probability of each emotion over time.

    Args:
        table: Table of faces with `seconds` and a column per emotion.
        face: Number of one face, or `None` for the mean of all faces of each frame.
        points: Longer series are averaged over equal times to at most this many rows.

    Returns:
        `pandas.DataFrame` with a column per emotion, probabilities 0 to 1, empty (NaN) where
        there was no face; its index `seconds` increases.

    Raises:
        ValueError: If the table holds no such face.
    """
    labels = emotions_of(table)
    if face is not None:
        _known(table, face)
        others = table["face"].ne(face).fillna(True)
        table = table.copy()
        table.loc[others, labels] = np.nan
    seconds = table["seconds"]
    if seconds.nunique() > points:
        width = (seconds.max() - seconds.min()) / points
        number = ((seconds - seconds.min()) // width).clip(upper=points - 1)
        seconds = (seconds.min() + (number + 0.5) * width).rename("seconds")
    return table.groupby(seconds)[labels].mean()


def episodes(table, *, max_gap=MAX_GAP, min_seconds=0.0):
    """Return when each face showed which emotion as its most probable one.

    Args:
        table: Table of faces.
        max_gap: Seconds without the face after which an episode ends.
        min_seconds: Shorter episodes are left out.

    Returns:
        `pandas.DataFrame` with a row per episode, by face and time: `face`, `emotion`, `onset`
        (seconds of its first frame), `apex` (of the frame with the highest probability),
        `offset` (seconds at which the next episode starts, or the face was seen last plus one
        frame), `duration` (offset less onset), `peak` and `mean` (probability of the emotion at
        the apex and on average), `frames`, and `continues` (whether the face showed another
        emotion right before).
    """
    import pandas as pd

    columns = ["face", "emotion", "onset", "apex", "offset", "duration", "peak", "mean"]
    rows = []
    step = _frame_seconds(table)
    seen = table[table["emotion"].fillna("") != ""]
    for face, own in seen.sort_values("seconds").groupby("face"):
        after_gap = own["seconds"].diff().gt(max_gap).to_numpy()
        starts = (own["emotion"] != own["emotion"].shift()).to_numpy() | after_gap
        parts = [part for _, part in own.groupby(np.cumsum(starts))]
        for number, part in enumerate(parts):
            emotion, seconds = part["emotion"].iloc[0], part["seconds"].to_numpy()
            likely = part[emotion].to_numpy()
            goes_on = number + 1 < len(parts) and not after_gap[_place(parts, number + 1)]
            offset = parts[number + 1]["seconds"].iloc[0] if goes_on else seconds[-1] + step
            times = seconds[0], seconds[likely.argmax()], offset, offset - seconds[0]
            continues = number > 0 and not after_gap[_place(parts, number)]
            rows.append((face, emotion, *times, likely.max(), likely.mean(), len(part), continues))
    kinds = dict.fromkeys(columns[2:], "float64") | {"face": "Int64", "emotion": "str"}
    kinds |= {"frames": "int64", "continues": "bool"}
    found = pd.DataFrame(rows, columns=[*columns, "frames", "continues"]).astype(kinds)
    return found[found["duration"] >= min_seconds].reset_index(drop=True)


def summary(table, **options):
    """Return how often and how long each emotion was shown.

    Args:
        table: Table of faces.
        **options: Of `episodes`.

    Returns:
        `pandas.DataFrame` with a row per emotion: `episodes`, `seconds` in all, `share` of the
        faces' time (0 to 1), and `mean_duration` and `longest` in seconds, `mean_peak` (empty
        for an emotion that never came).
    """
    import pandas as pd

    found = episodes(table, **options)
    by = found.groupby("emotion")
    rows = pd.DataFrame(
        {
            "episodes": by.size(),
            "seconds": by["duration"].sum(),
            "share": by["duration"].sum() / max(found["duration"].sum(), 1e-9),
            "mean_duration": by["duration"].mean(),
            "longest": by["duration"].max(),
            "mean_peak": by["peak"].mean(),
        }
    ).reindex(emotions_of(table))
    counted = ["episodes", "seconds", "share"]
    rows[counted] = rows[counted].fillna(0)
    return rows.astype({"episodes": "int64"}).rename_axis("emotion")


def transitions(table, **options):
    """Return how often each emotion was followed by which other, on the same face without a gap.

    Args:
        table: Table of faces.
        **options: Of `episodes`; with `min_seconds` an episode left out breaks the sequence.

    Returns:
        `pandas.DataFrame` of counts, from (rows) and to (columns), in the order of the label set.
    """
    import pandas as pd

    labels = emotions_of(table)
    counts = pd.DataFrame(0, index=pd.Index(labels, name="from"), columns=labels)
    counts.columns.name = "to"
    found = episodes(table, **options)
    before = found.shift()
    follows = found["continues"] & np.isclose(found["onset"], before["offset"])
    follows &= found["face"].eq(before["face"]).fillna(False)
    for number in np.flatnonzero(follows.to_numpy(bool)):
        counts.loc[before["emotion"][number], found["emotion"][number]] += 1
    return counts


def emotions_of(table):
    """Return the emotion columns of a table of faces, in their order."""
    return [name for name in table.columns if name not in {*COLUMNS, "note"}]


def _known(table, face):
    faces = table["face"].dropna().unique()
    if face not in faces:
        known = ", ".join(map(str, faces)) or "none"
        raise ValueError(f"face must be a face of the table ({known}); got {face!r}.")


def _frame_seconds(table):
    """Return the usual time from one frame to the next."""
    gaps = np.diff(np.unique(table["seconds"].to_numpy()))
    return float(np.median(gaps)) if len(gaps) else 0.0


def _place(parts, number):
    """Return the row at which a part starts, counted over all."""
    return sum(map(len, parts[:number]))
