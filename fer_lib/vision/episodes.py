"""Emotions over time: series, episodes with onset, apex and duration, and transitions.

The terms are those of the study of expressions as events (Ekman and Friesen's FACS): an episode
starts at its onset, is strongest at its apex, and ends at its offset. Every function takes the
table of `video.predict_video`.
"""

from pathlib import Path

import numpy as np

from fer_lib import storage

MAX_GAP = 0.5  # seconds without a face that end an episode
SHORTEST = 0.2  # seconds of an episode that is shown; shorter ones are mostly noise
POINTS = 2000
# Of fewer transitions no pattern can be seen.
ENOUGH = 20


def emotion_series(table, face=None, *, points=POINTS):
    """Return the probability of each emotion over time.

    Args:
        table: Table of one video, with `seconds` and a column per emotion.
        face: Number of one face, `"mean"` for the mean of all faces of each frame, or `None` for
            the face that was seen most.
        points: Longer series are averaged over equal times to at most this many rows.

    Returns:
        `pandas.DataFrame` with a column per emotion, probabilities 0 to 1, empty (NaN) where
        there was no face; its index `seconds` increases.

    Raises:
        ValueError: If the table holds no such face, or more than one video.
    """
    if table["source"].nunique() > 1:
        raise ValueError("the table must be of one video: table[table['source'] == …].")
    labels, faces = emotions_of(table), table["face"].dropna()
    if face is None:
        face = faces.mode().iloc[0] if len(faces) else "mean"
    if face != "mean":
        _known(faces.unique(), face)
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
        max_gap: Seconds without the face after which an episode ends, at least one and a half
            times those from one frame to the next.
        min_seconds: Shorter episodes are left out.

    Returns:
        `pandas.DataFrame` with a row per episode, by video, face and time: `source`, `face`,
        `emotion`, `onset` (seconds of its first frame), `apex` (of the frame with the highest
        probability), `offset` (seconds at which the next episode starts, or the face was seen last
        plus one frame), `duration` (offset less onset), `peak` and `mean` (probability of the
        emotion at the apex and on average), `frames`, and `continues` (whether the face showed
        another emotion right before).
    """
    import pandas as pd

    columns = ["source", "face", "emotion", "onset", "apex", "offset", "duration", "peak", "mean"]
    rows = []
    seen = table[table["emotion"].fillna("") != ""].sort_values("seconds", kind="stable")
    steps = {source: frame_seconds(own) for source, own in table.groupby("source")}
    for (source, face), own in seen.groupby(["source", "face"]):
        step = steps[source]
        after_gap = own["seconds"].diff().gt(max(max_gap, 1.5 * step)).to_numpy()
        starts = (own["emotion"] != own["emotion"].shift()).to_numpy() | after_gap
        parts = [part for _, part in own.groupby(np.cumsum(starts))]
        gaps = [bool(after_gap[place]) for place in np.flatnonzero(starts)] + [True]
        for number, part in enumerate(parts):
            emotion, seconds = part["emotion"].iloc[0], part["seconds"].to_numpy()
            likely = part[emotion].to_numpy()
            goes_on = not gaps[number + 1]
            offset = parts[number + 1]["seconds"].iloc[0] if goes_on else seconds[-1] + step
            times = seconds[0], seconds[likely.argmax()], offset, offset - seconds[0]
            strength = likely.max(), likely.mean(), len(part), number > 0 and not gaps[number]
            rows.append((source, face, emotion, *times, *strength))
    kinds = dict.fromkeys(columns[3:], "float64")
    kinds |= {"source": "str", "face": "Int64", "emotion": "str"}
    kinds |= {"frames": "int64", "continues": "bool"}
    found = pd.DataFrame(rows, columns=[*columns, "frames", "continues"]).astype(kinds)
    return found[found["duration"] >= min_seconds - 1e-6].reset_index(drop=True)


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
    follows &= found["source"].eq(before["source"])
    for number in np.flatnonzero(follows.to_numpy(bool)):
        counts.loc[before["emotion"][number], found["emotion"][number]] += 1
    return counts


def lanes(table):
    """Return what `plots.timeline_figure` draws of the table of one video.

    Returns:
        `(series, episodes, transitions)`: `emotion_series` by face, those who were seen most
        first; the episodes of at least `SHORTEST` seconds; and the counts of `transitions` between
        them, or `None` if there are fewer than `ENOUGH`.
    """
    faces = table["face"].dropna().value_counts(sort=True).index
    follows = transitions(table, min_seconds=SHORTEST)
    enough = follows.to_numpy().sum() >= ENOUGH
    series = {int(face): emotion_series(table, face) for face in faces}
    return series, episodes(table, min_seconds=SHORTEST), follows if enough else None


def save_elan(table, path, **options):
    """Write the episodes as tab-delimited text that ELAN imports: a tier per person.

    In ELAN: File, Import, CSV / Tab-delimited Text; there the columns are Tier, Begin Time, End
    Time and Annotation, and the first row of data is 2
    (https://www.mpi.nl/corpus/html/elan/ch01s04s02.html). No two of a tier overlap.

    Args:
        table: Table of one video.
        path: File; it is replaced.
        **options: Of `episodes`; the shortest episode is `SHORTEST` seconds by default.
    """
    found = episodes(table, **{"min_seconds": SHORTEST} | options)
    lines = ["tier\tbegin\tend\tannotation"]
    for row in found.itertuples():
        lines.append(f"person {row.face}\t{_clock(row.onset)}\t{_clock(row.offset)}\t{row.emotion}")
    with storage.replacing(Path(path)) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def emotions_of(table):
    """Return the emotion columns of a table of faces, in their order."""
    names = list(table.columns)
    names = names[names.index("unsure") + 1 : names.index("note")]
    return [name for name in names if not name.endswith("_change")]


def frame_seconds(table):
    """Return the usual time from one frame to the next; 0 of a single frame."""
    gaps = np.diff(np.unique(table["seconds"].to_numpy()))
    return float(np.median(gaps)) if len(gaps) else 0.0


def _known(faces, face):
    if face not in faces:
        known = ", ".join(map(str, faces)) or "none"
        raise ValueError(f"face must be a face of the table ({known}); got {face!r}.")


def _clock(seconds):
    """Return seconds as hours:minutes:seconds.milliseconds."""
    whole = round(1000 * seconds)
    minutes, rest = divmod(whole, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
