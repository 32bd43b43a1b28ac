"""Command line: `fer COMMAND`, or `python -m fer_lib COMMAND`.

A command is a function under `@command(section, example)`. Its options are named as the keywords
of the library's function that it calls, which gets them as `**options`: to add an option, write
one `@option` line.
"""

import os
import sys
from pathlib import Path

import click
from click import argument, option

import fer_lib
from fer_lib import screen, storage

SECTIONS = ("Train and compare", "Use a model", "Data", "Check")
_SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


class _Command(click.Command):
    """A command with a section in the list of commands and an example below its options."""

    def __init__(self, *words, section, example, **options):
        super().__init__(*words, **options)
        self.section, self.example = section, example

    def parse_args(self, context, words):
        """Read `--formats a b` as `--formats a --formats b`, where the metavar ends in dots."""
        many = {p.opts[0] for p in self.params if (getattr(p, "metavar", "") or "")[-3:] == "..."}
        spread, taking = [], None
        for word, after in zip(words, [*words[1:], "-"], strict=False):
            if word in many:
                taking = word
                if after.startswith("-"):
                    told = f"Option {word!r} requires an argument."
                    raise click.BadOptionUsage(word, told, context)
            elif word.startswith("-"):
                taking = None
                spread.append(word)
            else:
                spread += [taking, word] if taking else [word]
        return super().parse_args(context, spread)

    def format_epilog(self, context, formatter):
        """Write the example."""
        with formatter.section("Example"):
            formatter.write_text(f"{context.command_path} {self.example}".rstrip())


class _Commands(click.Group):
    """Commands, listed by section in the order in which they are written."""

    def format_commands(self, context, formatter):
        """Write one list of commands for each section."""
        for section in SECTIONS:
            listed = {k: v for k, v in self.commands.items() if v.section == section}
            with formatter.section(section):
                formatter.write_dl([(k, v.get_short_help_str(70)) for k, v in listed.items()])


@click.group(cls=_Commands, context_settings=_SETTINGS)
@click.version_option(fer_lib.__version__, prog_name="fer_lib")
def commands():
    """Train, compare and use facial-expression classifiers."""


def command(section, example=""):
    """Add the function below to a section's commands; its example are words after its name."""
    return commands.command(cls=_Command, section=section, example=example)


def main(arguments=None):
    """Run a command and return its exit status.

    Args:
        arguments: List of words; those of the process if `None`.

    Returns:
        0; 1 after an error, which is told in one sentence; 130 after Ctrl-C.
    """
    screen.silence_tensorflow()
    screen.speak_plainly()
    name = "python -m fer_lib" if sys.argv[0] == __file__ else "fer"
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return commands.main(words or ["--help"], prog_name=name, standalone_mode=False) or 0
    except click.Abort as stop:  # click's name for Ctrl-C
        return _told(f"stopped. {stop.__cause__}", 130)
    except click.UsageError as error:
        asked = error.ctx.command_path if error.ctx else name
        return _told(f"{error.format_message()} ({asked} --help shows what it takes.)")
    except click.ClickException as error:
        return _told(error.format_message())
    except BrokenPipeError:  # as in `fer runs | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        at = error.filename if error.filename2 is None else error.filename2
        return _told(f"{at}: {error.strerror}." if at and error.strerror else error)
    except (ValueError, ImportError, RuntimeError, MemoryError) as error:
        return _told(error)


def _told(message, status=1):
    click.echo(f"fer_lib: {message}".rstrip(), err=True)
    return status


_MODEL = "A shipped model's name, a run's folder or an exported file."
_model = option("--model", default="default", help=_MODEL)
_detector = option("--detector", default="auto", help="How to find faces: auto, yunet or haar.")
_out = option("--out", metavar="FILE", help="Write the table (.csv, .parquet or .json).")
_csv = option("--csv", metavar="FILE", help="Also write every column to a CSV file.")
_overwrite = option("--overwrite", is_flag=True, help="Write even if the files are there.")


# Each command imports what it needs, so --help answers at once.


@command("Train and compare", "dataset=synthetic epochs=3 -f recipe.yaml")
@argument("parameters", nargs=-1, metavar="[NAME=VALUE]...")
@option("-f", "--file", "files", multiple=True, metavar="FILE", help="YAML file of parameters.")
def train(parameters, files):
    """Train a classifier and score it, as run_experiment.ipynb does.

    Parameters are those of fer_lib.Experiment; those in words replace those in files. A run that
    was stopped goes on from its last epoch when the same command is given again.
    """
    from fer_lib.experiments.experiment import from_words

    asked = from_words(parameters, files).validate()

    from fer_lib.experiments import environment, runner

    told = runner.set_up(asked)
    this, notices = runner.resolve(asked)
    print(*told, *notices, environment.machine(), sep="\n", flush=True)
    result = runner.run(this)
    print(f"\n{result.scores_table().to_string()}\n\nThe run is in {result.folder}")


@command("Train and compare", "runs --csv runs.csv")
@argument("results_dir", default="runs")
@_csv
def runs(results_dir, csv):
    """Print a table of the experiments that were run."""
    from fer_lib.experiments.runs import runs_table, summary_table

    table = runs_table(results_dir)
    if table.empty:
        return print(f"No runs in {results_dir}/.")
    if csv:
        storage.write_csv(csv, table)
    print(summary_table(table).to_string(index=False))


@command("Train and compare", "runs/fer2013-a runs/fer2013-b")
@argument("folders", nargs=-1, required=True, metavar="RUN...")
@option("--to", "best", metavar="RUN", help="Compare with this run, not the best one.")
def compare(folders, best):
    """Test whether runs differ on the same test faces.

    RUN is a run's folder, or a folder of runs. Each is compared with the run that is best on
    validation: McNemar's test, and the difference of the scores with its paired 95 % interval.
    Below stands what the mean of their probabilities scores.
    """
    from fer_lib.evaluation import bootstrap
    from fer_lib.experiments import comparison, human, runs

    found = runs.finished_runs([*folders, best] if best else folders)
    if len(found) < 2:
        raise ValueError(f"Two runs or more can be compared; got {', '.join(found)}.")
    best = str(Path(best)) if best else comparison.best_of(found)
    table = comparison.compare_runs(found, best).round(4)
    scores = comparison.ensemble(found)
    told = (bootstrap.in_words(scores[name]) for name in ("accuracy", "macro_f1"))
    mean = "mean of their probabilities: accuracy {}, macro-F1 {}".format(*told)
    print(table.to_string(), mean, human.in_words(found[best]), sep="\n")


@command("Train and compare", "default ferplus ckplus --whole")
@argument("model")
@argument("datasets", nargs=-1, required=True, metavar="DATASET...")
@option("--whole", is_flag=True, help="Score all faces, not the test split.")
@_csv
@option("--predictions", metavar="FILE", help="Also write labels and probabilities (.npz).")
def evaluate(model, datasets, whole, csv, predictions):
    """Score a model or a run on data sets, by name or path."""
    run = (Path(model) / "experiment.json").exists()
    if predictions and (run or whole or len(datasets) > 1):
        raise ValueError("--predictions takes a model's answers to the test faces of one data set.")

    from fer_lib.experiments import cross_dataset, published, runs
    from fer_lib.inference.predictor import load_predictor

    answering = runs.load_run(model) if run else load_predictor(model)
    loaded = {name: cross_dataset.load_for(answering, name) for name in datasets}
    table = cross_dataset.cross_table({model: answering}, loaded, whole=datasets if whole else ())
    if csv:
        storage.write_csv(csv, table)
    if predictions:
        published.save_answers(answering, loaded[datasets[0]]["test"], predictions)
    print(table.round(4).T.to_string(header=False))


@command("Train and compare", "backbone=mobilenet,mobilenet_v2 seeds=0,1,2")
@argument("words", nargs=-1, required=True, metavar="GRID...")
@option("--engine", type=click.Choice(["local", "slurm"]), default="local")
@option("--workers", type=int, help="Runs at a time (local).")
@option("--cores", type=int, help="Cores per run (local).")
@option("--per-device", type=int, default=1, help="Runs that share a GPU (local).")
@option("--slurm-option", multiple=True, metavar="NAME=VALUE...", help="Options of sbatch.")
@option("--dry-run", is_flag=True, help="Only show what SLURM would get, and an estimate.")
@option("--measured", multiple=True, metavar="DIR...", help="Runs to estimate from.")
@option("--status", is_flag=True, help="Only tell how far each point is.")
@option("--collect", metavar="FILE", help="Only write the finished runs to a CSV file.")
@option("--also", multiple=True, metavar="DIR...", help="Collect finished runs from there too.")
def sweep(words, engine, slurm_option, dry_run, measured, status, collect, also, **local_options):
    """Run a grid of experiments, here or on SLURM.

    GRID is a YAML file, words NAME=VALUE,VALUE, or both.
    """
    from fer_lib.sweeps import local, slurm, summary
    from fer_lib.sweeps.grid import read_grid

    grid = read_grid(list(words))
    if status:
        table = summary.status(grid, slurm.queued_if_known(grid, click.echo))
        return print(table.to_string(index=False))
    if collect:
        return print(summary.summarise(summary.collect(grid, collect, also)).to_string())
    if engine == "slurm" or dry_run:
        chosen = slurm.read_options(slurm_option) | {"measured": measured, "dry_run": dry_run}
        job = slurm.submit(grid, show=click.echo, **chosen)
        return click.echo(f"submitted as job {job}" if job else "nothing was submitted")
    local.stop_on_terminate()
    states = local.run(grid, show=click.echo, **local_options)
    return int(any(state == "failed" for state in states.values()))


@command("Train and compare", "runs/fer2013-* --to figures/runs")
@argument("folders", nargs=-1, required=True, metavar="RUN...")
@option("--to", required=True, metavar="DIR", help="Folder of the copies.")
def publish(folders, to):
    """Copy what a report needs of finished runs."""
    from fer_lib.experiments.published import publish

    print(*publish(list(folders), to), sep="\n")


@command("Use a model", "photos/ --out faces.csv --annotated boxes/")
@argument("paths", nargs=-1, required=True, metavar="PATH...")
@_model
@_out
@_overwrite
@option("--annotated", metavar="DIR", help="Write the photos with boxes and names.")
@_detector
@option("--min-face", type=float, default=12, help="Leave out faces smaller than this many pixels.")
@option("--min-score", type=float, help="Leave out faces of a lower detection score, 0.3 to 1.")
@option("--largest", is_flag=True, help="Take only the largest face of each photo.")
@option("--people", "same_people", is_flag=True, help="Give each person one number in all photos.")
@option("--search-size", type=int, help="Pixels a side of the search; 640 is quick.")
def predict(paths, model, **options):
    """Name the expressions in photos.

    PATH is a file, a folder, a glob in quotes or a web address. With --out, the same command goes
    on where it was stopped.
    """
    from fer_lib.vision import face_table, photos

    table = photos.recognise(list(paths), model, **options)
    print(face_table.screen_table(table))
    for kind in ("out", "annotated"):
        print(f"{options[kind]} is written.\n" if options[kind] else "", end="")
    return int(not table.attrs["read"])


@command("Use a model", "clip.mp4 --out faces.csv --timeline timeline.png")
@argument("sources", nargs=-1, required=True, metavar="VIDEO...")
@_model
@_out
@_overwrite
@option("--summary", metavar="FILE", help="Write a table with a row per person and video.")
@option("--annotated", metavar="FILE", help="Write the video with boxes, names and its sound.")
@option("--timeline", metavar="FILE", help="Write a figure of emotions over time.")
@option("--elan", metavar="FILE", help="Write the episodes as text that ELAN imports.")
@option("--from", "start", default="0", metavar="TIME", help="Begin at this time: 90, 1:30.")
@option("--to", "end", metavar="TIME", help="Stop at this time; by default at the end.")
@option("--baseline", metavar="SPAN", help="Where people look neutral: 0-5s, or another file.")
@option("--people", "same_people", is_flag=True, help="Give each person one number in all videos.")
@option("--every", type=int, default=1, help="Look at every n-th frame.")
@_detector
def video(sources, model, start, end, baseline, **options):
    """Follow the expressions of videos over time.

    VIDEO is a file, an address or a folder. Of several videos, --annotated, --timeline and --elan
    name folders.
    """
    from fer_lib.vision import people, video

    options |= {"start": people.read_seconds(start), "end": end and people.read_seconds(end)}
    options["baseline"] = baseline and people.read_baseline(baseline)
    source = sources[0] if len(sources) == 1 else list(sources)
    table = video.predict_video(source, model, **options)
    print(people.people_text(table))
    for kind in ("out", "summary", "annotated", "timeline", "elan"):
        print(f"{options[kind]} is written.\n" if options[kind] else "", end="")
    return int(not table.attrs["frames"])


@command("Use a model", "--camera 0")
@option("--camera", type=int, default=0, help="Number of the camera.")
@_model
@_detector
def webcam(model, camera, **options):
    """Show expressions live. Keys: q quit, s picture, r table, m mirror."""
    from fer_lib.vision import webcam

    print(*webcam.show_webcam(model, camera, **options), sep="\n")


@command("Use a model", "--port 7860")
@_model
@option("--port", type=int, help="Port on this machine.")
def page(model, **options):
    """Serve a web page on this computer alone: photos, the camera, videos."""
    from fer_lib.vision import page

    page.serve(model, show=print, **options)


@command("Use a model", "runs/fer2013-a --to exported --formats keras litert_int8")
@argument("run")
@option("--to", required=True, metavar="DIR", help="Folder of the files.")
@option("--name", default="classifier", help="What their names begin with.")
@option("--formats", multiple=True, metavar="FORMAT...", help="Such as keras, litert, litert_int8.")
@option("--cross", metavar="FILE", help="Table of notebooks/cross_dataset.ipynb.")
def export(run, to, name, formats, cross):
    """Make small files of a run, with a model card.

    --formats web writes a page instead that works in the browser alone; RUN may then also be a
    shipped model's name or an exported file.
    """
    from fer_lib.choices import lookup
    from fer_lib.inference.formats import FORMATS

    for key in formats:  # before anything is read
        lookup([*FORMATS, "web"], key, "export format")
    if "web" in formats:
        from fer_lib.vision import web_page

        return print(web_page.write_alone(run, to, formats))
    from fer_lib.experiments import model_card
    from fer_lib.experiments.runs import load_run

    run = load_run(run)
    cross = model_card.read_cross(cross, run) if cross else None
    table = model_card.ship(run, to, name=name, formats=list(formats) or None, cross=cross)
    print(table.round(4).to_string())


@command("Data", "fer2013")
@argument("dataset", required=False)
def describe(dataset):
    """Print the card of a data set, count what lies at a path, or list the data sets."""
    from fer_lib.data.catalogue import DATASETS, describe, load_dataset

    own = dataset and dataset not in DATASETS and Path(dataset).exists()
    print(describe(dataset, load_dataset(dataset)) if own else describe(dataset))


@command("Check", "runs/fer2013-a --json audit.json")
@argument("target")
@option("--json", metavar="FILE", help="Also write the findings to a JSON file.")
@option("--reforms", metavar="FILE", help="Also write a run's REFORMS checklist (Markdown).")
@option("--people", metavar="TABLE", help="CSV of the test faces' ids, gender, age …: scores each.")
def audit(target, json, reforms, people):
    """Check a run or a data set for what makes numbers wrong.

    TARGET is a run's folder, or the name or path of a data set. The status is 1 where a check
    fails.
    """
    from fer_lib.audit import reforms as checklist
    from fer_lib.audit import report

    findings = checklist.of_folder(target, reforms) if reforms else report.audit(target)
    if json:
        report.write_json(findings, json)
    print(report.report(findings))
    if people:
        from fer_lib.experiments import runs, whom

        print("", whom.in_markdown(whom.groups_of_run(runs.load_run(target), people)), sep="\n")
    return int(report.failed(findings))


if __name__ == "__main__":
    sys.exit(main())
