"""Benchmarks, run one after the other into one table: `python tests/benchmarks`."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fer_lib import storage
from fer_lib.choices import lookup

# Name of the script → what it compares.
BENCHMARKS = {
    "startup": "import, --help and predict in a fresh process",
    "csv_parsing": "reading fer2013.csv against the naive loop",
    "synthetic_faces": "drawing synthetic faces",
    "frozen_layers": "frozen layers computed once against model.fit on the whole model",
    "whole_model": "training everything against the plain notebook way",
    "determinism": "what deterministic=True costs",
    "memory": "peak memory of loading and starting to train, against the plain notebook way",
    "inference": "exported files against model.predict",
    "photos": "a folder of small photographs against the usual script, where some are at hand",
    "video": "the faces of a video against the usual script, where photographs are at hand",
    "many_runs": "the table of many runs",
    "peers": "inference with other projects' models, where they are at hand",
    "accelerator": "training steps and whole runs on this machine's device, against its limit",
    "whole_job": "a whole job against the plain notebook recipe",
}
COLUMNS = "benchmark case way median unit ratio cpu_ratio goal note".split()
FOLDER = Path(__file__).resolve().parent


def run_benchmarks(names=None, *, full=False, show=lambda text: None):
    """Run benchmarks, each in a process of its own, and return their rows.

    Args:
        names: Keys of `BENCHMARKS`; all if `None`.
        full: Whether to run at the size of README's table (an hour) instead of the size that
            ends in ten minutes on two cores.
        show: Called with the text of each benchmark as soon as it is there.

    Returns:
        List of dicts with `benchmark, case, way, median, unit, ratio, cpu_ratio, goal, note`; a
        benchmark that failed has one row with the reason as its `note`.

    Raises:
        ValueError: If a name is unknown.
    """
    names = list(names or BENCHMARKS)
    for name in names:
        lookup(BENCHMARKS, name, "benchmark")
    rows = []
    for name in names:
        show(f"{name}: {BENCHMARKS[name]}")
        started = time.perf_counter()
        found, text = _run_script(name, full)
        rows += [{"benchmark": name} | row for row in found]
        show(f"{text}\n({time.perf_counter() - started:.0f} s)\n")
    return rows


def _run_script(name, full):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        command = [sys.executable, FOLDER / f"{name}.py", "--json", path, *["--full"] * full]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return [{"case": "failed", "note": reason}], f"FAILED: {reason}"
        return json.loads(path.read_text()), done.stdout.rstrip()


def summary_table(rows):
    """Return how the last way of each case compares with its first.

    Args:
        rows: DataFrame or list of dicts, as `run_benchmarks` returns them.

    Returns:
        `pandas.DataFrame` of text, one row per case whose last way is ours: `benchmark`, `case`,
        `against` (the first way), `its_median`, `ours` (the last way), `median`, `ratio` (by
        wall-clock time, or of the sizes) and `goal` (`""` where there is none).
    """
    import pandas as pd

    rows = pd.DataFrame(rows, columns=COLUMNS)
    found = []
    for (benchmark, case), part in rows.groupby(["benchmark", "case"], sort=False):
        part = part[part.ratio.notna()]
        if len(part) < 2:
            continue
        first, last = part.iloc[0], part.iloc[-1]
        if pd.isna(last.goal) and not last.way.startswith("ours"):
            continue  # what else was tried
        found.append(
            {
                "benchmark": benchmark,
                "case": case,
                "against": first.way,
                "its_median": f"{_rounded(first['median'])} {first.unit}",
                "ours": last.way,
                "median": f"{_rounded(last['median'])} {last.unit}",
                "ratio": f"{last.ratio:.1f}",
                "goal": "" if pd.isna(last.goal) else str(last.goal).removesuffix(".0"),
            }
        )
    return pd.DataFrame(found)


def _rounded(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def check_path(path):
    """Raise `ValueError` if rows cannot be written to a file of this ending."""
    if Path(path).suffix not in (".json", ".csv"):
        raise ValueError(f"Benchmarks are written as .json or .csv; got {str(path)!r}.")


def save(rows, path):
    """Write rows to a `.json` or `.csv` file."""
    check_path(path)
    if Path(path).suffix == ".json":
        storage.write_json(path, rows)
        return
    import pandas as pd

    with storage.replacing(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def main(words=None):
    """Run the benchmarks that a command line names and print their table."""
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", metavar="FILE", help="also write the rows (.json or .csv)")
    parser.add_argument("--full", action="store_true", help="at the size of the published table")
    parser.add_argument(
        "--accelerator",
        action="store_true",
        help="only accelerator.py, which is given all other words (--minutes 10, --full, --tiny)",
    )
    words = sys.argv[1:] if words is None else words
    options, more = parser.parse_known_args(words)
    if options.accelerator:
        rest = [word for word in words if word != "--accelerator"]
        return subprocess.call([sys.executable, FOLDER / "accelerator.py", *rest])
    if more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    try:
        if options.json:
            check_path(options.json)
        rows = run_benchmarks(options.only, full=options.full, show=print)
    except ValueError as error:
        parser.error(str(error))
    if options.json:
        save(rows, options.json)
    print(summary_table(rows).to_string(index=False))
    return int(any(row["case"] == "failed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
