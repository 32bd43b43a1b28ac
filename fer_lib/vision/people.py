"""What a table of videos says of each person: time, emotions, changes from a neutral beginning."""

import os
import re

import numpy as np

from fer_lib.vision.episodes import SHORTEST, emotions_of, episodes, frame_seconds


def per_person(table):
    """Return a row per person and video.

    Args:
        table: Table of `video.predict_video`.

    Returns:
        `pandas.DataFrame`: `source`, `face`, `first_seen` and `last_seen` (seconds of the video),
        `seconds` (in which the face was seen), `frames`, `emotion` (that led for the longest
        time), `unsure_share` (of the time, 0 to 1), and per emotion `<emotion>_mean` (mean
        probability over the time), `<emotion>_share` (of the time in which it was the most
        probable one) and `<emotion>_per_minute` (its episodes of at least 0.2 seconds, per minute
        in which the face was seen).
    """
    import pandas as pd

    labels, rows = emotions_of(table), []
    found = episodes(table, min_seconds=SHORTEST)
    table = table.assign(lasts=_lasts(table))
    seen = table[table["emotion"].fillna("") != ""]
    for (source, face), own in seen.groupby(["source", "face"]):
        lasts = own["lasts"].to_numpy(np.float64)
        if not lasts.sum():
            lasts = np.ones(len(own))  # a single frame has no length that is known
        shares = {name: _mean(own["emotion"] == name, lasts) for name in labels}
        times = found["emotion"][(found["source"] == source) & (found["face"] == face)]
        minutes = own["lasts"].sum() / 60
        row = {
            "source": source,
            "face": face,
            "first_seen": own["seconds"].min(),
            "last_seen": own["seconds"].max(),
            "seconds": own["lasts"].sum(),
            "frames": len(own),
            "emotion": max(shares, key=shares.get),
            "unsure_share": _mean(own["unsure"].astype("float64"), lasts),
        }
        row |= {f"{name}_mean": _mean(own[name], lasts) for name in labels}
        row |= {f"{name}_share": share for name, share in shares.items()}
        row |= {
            f"{name}_per_minute": (times == name).sum() / minutes if minutes else np.nan
            for name in labels
        }
        rows.append(row)
    columns = ["source", "face", "first_seen", "last_seen", "seconds", "frames", "emotion"]
    columns += ["unsure_share"]
    columns += [f"{name}_{what}" for what in ("mean", "share", "per_minute") for name in labels]
    kinds = dict.fromkeys(columns, "float64") | {"face": "Int64", "frames": "int64"}
    kinds |= {"source": "str", "emotion": "str"}
    return pd.DataFrame(rows, columns=columns).astype(kinds)


def relative_to_baseline(table, start, end, *, source=None):
    """Add how far each probability is from the person's own mean in a neutral stretch.

    A network answers the shape of a face too: some people's resting face scores as sad or angry.
    The difference takes a constant part of that away. It does not make a probability an
    intensity, it has little room where the baseline is near 0 or 1 already, and a number given to
    two people, or a stretch that was not neutral, makes it wrong.

    Args:
        table: Table of `video.predict_video`.
        start: Seconds of each video at which people look neutral.
        end: Seconds at which that ends.
        source: Name of the one file in which they look neutral, for all files; their numbers must
            be the same in all of them (`same_people`). If it shows one person alone, that is who
            was seen longest in each other file too, whatever the number.

    Returns:
        `pandas.DataFrame`: the table with a column `<emotion>_change` per emotion before `note`,
        -1 to 1, empty for a person who was not seen in that stretch.

    Raises:
        ValueError: If the stretch is none, or nobody is seen in it.
    """
    check_span(start, end)
    labels = emotions_of(table)
    within = table["seconds"].ge(start) & table["seconds"].lt(end) & table["face"].notna()
    keys = ["source", "face"]
    if source is not None:
        within &= table["source"].eq(source)
        keys = ["who"]
    if not within.any():
        place = source or f"from {start:g} to {end:g} seconds"
        raise ValueError(f"nobody is seen {'in ' * (source is not None)}{place}, the baseline.")
    people = table.assign(who=_who(table, within) if source is not None else table["face"])
    usual = people[within].groupby(keys)[labels].mean()
    own = people[keys].merge(usual, how="left", left_on=keys, right_index=True)[labels]
    change = table[labels].to_numpy() - own.to_numpy()
    changed, place = table.copy(), list(table.columns).index("note")
    for number, name in enumerate(labels):
        changed.insert(place + number, f"{name}_change", change[:, number])
    return changed


def check_span(start, end):
    """Raise ValueError if a baseline does not end after it starts."""
    if not 0 <= start < end:
        raise ValueError(f"a baseline must end after it starts; got {start} to {end} seconds.")


def people_text(table):
    """Return the people of a table as text for a screen: who was seen how long, and how.

    Args:
        table: Table of `video.predict_video`.
    """
    rows, lines = per_person(table), []
    for source, own in table.groupby("source", sort=False):
        those = rows[rows["source"] == source].sort_values("seconds", ascending=False)
        count = len(those)
        who = {0: "nobody was seen", 1: "1 person"}.get(count, f"{count} people")
        frames = own["frame"].nunique()
        length = own["seconds"].max() - own["seconds"].min() + frame_seconds(own)
        lines.append(f"{source}: {who}, {frames} frames, {length:.1f} seconds")
        lines += [_line(row) for row in those.head(_SHOWN).to_dict("records")]
        if count > _SHOWN:
            lines.append(f"  and {count - _SHOWN} more who were seen for a shorter time")
        notes = own["note"][~own["note"].isin(["", "no face found"])].value_counts()
        lines += [f"  {number} x {note}" for note, number in notes.items()]
    return "\n".join(lines)


def read_seconds(text):
    """Return the seconds of `"90"`, `"90s"`, `"1:30"` or `"0:01:30.5"`.

    Raises:
        ValueError: If it is no time.
    """
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?s?", text.strip()):
        raise ValueError(f"a time must be seconds or minutes:seconds, as 90 or 1:30; got {text!r}.")
    seconds = 0.0
    for part in text.strip().rstrip("s").split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def read_span(text):
    """Return `(start, end)` in seconds of `"0-5s"` or `"1:00-1:30"`.

    Raises:
        ValueError: If it is no stretch of time.
    """
    start, dash, end = text.partition("-")
    if not dash:
        raise ValueError(f"a stretch of time must be start-end, as 0-5s; got {text!r}.")
    return read_seconds(start), read_seconds(end)


def read_baseline(text):
    """Return `(start, end)` of `"0-5s"`, or the path of a file of that name.

    Raises:
        ValueError: If it is neither.
    """
    if os.path.exists(text):
        return text
    try:
        return read_span(text)
    except ValueError as error:
        raise ValueError(f"a baseline must be a stretch of time or a file: {error}") from None


_SHOWN = 12  # people of a video on a screen


def _line(row):
    shares = {name[:-6]: row[name] for name in row if name.endswith("_share")}
    del shares["unsure"]
    named = [f"{name} {share:.0%}" for name, share in sorted(shares.items(), key=lambda s: -s[1])]
    named = [text for text in named if not text.endswith(" 0%")]
    span = f"from {row['first_seen']:.1f} to {row['last_seen']:.1f}"
    return f"  person {row['face']}: {row['seconds']:.1f} s ({span}): {', '.join(named)}"


def _who(table, within):
    """Return the person of each row, where those of `within` are known by number or alone."""
    who, known = table["face"].copy(), table["face"][within].unique()
    if len(known) > 1:
        return who
    for _, own in table[table["face"].notna()].groupby("source"):
        longest = own["face"].value_counts().index[0]
        if known[0] not in own["face"].to_numpy():
            who[own.index[own["face"] == longest]] = known[0]
    return who


def _lasts(table):
    """Return for how many seconds each row's frame is the video's newest."""
    lasts = np.zeros(len(table))
    for _, own in table.reset_index(drop=True).groupby("source"):
        times = np.unique(own["seconds"])
        gaps = np.append(np.diff(times), frame_seconds(own))
        lasts[own.index] = gaps[np.searchsorted(times, own["seconds"])]
    return lasts


def _mean(values, weights):
    return float(np.average(np.asarray(values, np.float64), weights=weights))
