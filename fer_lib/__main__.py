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
    data = commands.add_parser("describe", help="print the card of a data set")
    data.add_argument("dataset", help="its name")
    data.set_defaults(function=_describe)
    options = parser.parse_args(arguments)
    try:
        return options.function(options)
    except (ValueError, OSError) as error:
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


def _describe(options):
    from fer_lib.datasets import describe

    print(describe(options.dataset))
    return 0


if __name__ == "__main__":
    sys.exit(main())
