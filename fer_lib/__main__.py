"""Command line: `python -m fer_lib COMMAND`."""

import argparse
import sys


def main(arguments=None):
    """Run a command and return its exit status.

    Args:
        arguments: List of words; those of the process if `None`.
    """
    parser = argparse.ArgumentParser(
        prog="python -m fer_lib", description="Facial-expression recognition with Keras 3."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    runs = commands.add_parser("runs", help="print a table of the experiments that were run")
    runs.add_argument("results_dir", nargs="?", default="runs", help="folder of runs (runs)")
    runs.add_argument("--csv", metavar="FILE", help="also write every column to a CSV file")
    runs.set_defaults(function=_runs)
    copies = commands.add_parser("publish", help="copy what a report needs of finished runs")
    copies.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs")
    copies.add_argument("--to", required=True, metavar="DIR", help="folder of the copies")
    copies.set_defaults(function=_publish)
    data = commands.add_parser("describe", help="print the card of a data set")
    data.add_argument("dataset", help="its name")
    data.set_defaults(function=_describe)
    photos = commands.add_parser("predict", help="name the expressions in photos or folders")
    photos.add_argument("paths", nargs="+", metavar="PATH", help="photos, or folders of them")
    photos.add_argument("--model", required=True, help="a run's folder or an exported file")
    photos.add_argument("--out", metavar="FILE", help="write the table (.csv, .parquet or .json)")
    photos.add_argument("--overwrite", action="store_true", help="even if that file is there")
    photos.add_argument("--annotated", metavar="DIR", help="write the photos with boxes and names")
    photos.add_argument("--detector", default="auto", help="auto, yunet or haar (auto)")
    photos.set_defaults(function=_predict)
    check = commands.add_parser("audit", help="check a run or a data set for what fools people")
    check.add_argument("target", help="folder of a run, or name or path of a data set")
    check.add_argument("--json", metavar="FILE", help="also write the findings to a JSON file")
    check.set_defaults(function=_audit)
    bench = commands.add_parser("benchmark", help="measure speed and memory on this machine")
    bench.add_argument("--only", nargs="+", metavar="NAME", help="these benchmarks alone")
    bench.add_argument("--json", metavar="FILE", help="also write the rows (.json or .csv)")
    bench.add_argument("--full", action="store_true", help="at the size of README's table")
    bench.set_defaults(function=_benchmark)
    options = parser.parse_args(arguments)
    try:
        return options.function(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"fer_lib: {error}", file=sys.stderr)
        return 1


# Each command imports what it needs, so that --help answers at once.


def _runs(options):
    from fer_lib.runs import runs_table, summary_table
    from fer_lib.storage import replacing

    table = runs_table(options.results_dir)
    if table.empty:
        print(f"No runs in {options.results_dir}/.")
        return 0
    if options.csv:
        with replacing(options.csv) as path:
            table.to_csv(path, index=False)
    print(summary_table(table).to_string(index=False))
    return 0


def _publish(options):
    from fer_lib.runs import publish

    print(*publish(options.runs, options.to), sep="\n")
    return 0


def _describe(options):
    from fer_lib.datasets import describe

    print(describe(options.dataset))
    return 0


def _predict(options):
    from fer_lib import photos

    table = photos.predict_photos(
        options.paths,
        options.model,
        detector=options.detector,
        annotated=options.annotated,
        out=options.out,
        overwrite=options.overwrite,
    )
    print(photos.screen_table(table))
    return 0


def _audit(options):
    from fer_lib import audit

    findings = audit.audit(options.target)
    if options.json:
        audit.write_json(findings, options.json)
    print(audit.report(findings))
    return int(audit.failed(findings))


def _benchmark(options):
    from fer_lib.benchmark import check_path, run_benchmarks, save

    if options.json:
        check_path(options.json)
    rows = run_benchmarks(
        options.only, full=options.full, show=lambda text: print(text, flush=True)
    )
    if options.json:
        save(rows, options.json)
    return int(any(row["case"] == "failed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
