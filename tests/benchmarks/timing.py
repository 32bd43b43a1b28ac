"""What the benchmarks share: ways that take turns, medians, and rows of one table.

A row is a dict with the keys of `COLUMNS`; `ratio` says how many times as fast (or as small) a
way is as the first way of its case, by wall-clock time, and `cpu_ratio` the same by the CPU time
of all threads, which other work on the machine disturbs less.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

COLUMNS = ("case", "way", "median", "unit", "ratio", "cpu_ratio", "goal", "note")


def options(doc, **more):
    """Return the parsed command line of a benchmark: `--full`, `--json FILE` and `more`.

    Args:
        doc: The script's docstring.
        **more: Name → keyword arguments of `ArgumentParser.add_argument`.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="at the size of README's table")
    parser.add_argument("--json", type=Path, help="write the rows here")
    for name, settings in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **settings)
    return parser.parse_args()


def interleaved(ways, rounds=5):
    """Time functions that take turns in every round, after one turn each that does not count.

    Args:
        ways: Dict from name to a function of no arguments.
        rounds: How often each is timed.

    Returns:
        Dict from name to `(wall, cpu)`, medians over the rounds in seconds.
    """
    times = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, function in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            spent = time.perf_counter() - wall, time.process_time() - cpu
            if number:
                times[name].append(spent)
    return {name: medians(spent) for name, spent in times.items()}


def medians(spent):
    """Return the medians of pairs of wall and CPU seconds."""
    return tuple(map(statistics.median, zip(*spent, strict=True)))


def rows_of(case, times, *, unit="s", scale=1.0, goal=None, notes=None):
    """Return rows of a case, with ratios to its first way.

    Args:
        case: What was measured.
        times: Dict from way to `(wall, cpu)` in seconds, the way to compare with first.
        unit: Of the median.
        scale: Factor from seconds to the unit.
        goal: Ratio that the last way is to reach, or `None`.
        notes: Dict from way to a remark.
    """
    first_wall, first_cpu = next(iter(times.values()))
    last = list(times)[-1]
    return [
        {
            "case": case,
            "way": way,
            "median": scale * wall,
            "unit": unit,
            "ratio": first_wall / wall,
            "cpu_ratio": first_cpu / cpu,
            "goal": goal if way == last else None,
            "note": (notes or {}).get(way, ""),
        }
        for way, (wall, cpu) in times.items()
    ]


def number(case, way, value, unit, *, ratio=None, goal=None, note=""):
    """Return a row that holds one number."""
    return dict(zip(COLUMNS, (case, way, value, unit, ratio, None, goal, note), strict=True))


def finish(rows, arguments):
    """Print the rows as a table and write them to `--json` if it was given."""
    import pandas as pd

    table = pd.DataFrame(rows, columns=COLUMNS)
    for column in ("ratio", "cpu_ratio"):
        table[column] = table[column].map(lambda v: "" if pd.isna(v) else f"{v:.2f}x")
    table["goal"] = table["goal"].map(lambda v: "" if v is None or pd.isna(v) else f"{v:g}")
    table["median"] = table["median"].map("{:.4g}".format, na_action="ignore")
    print(table.to_string(index=False))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
