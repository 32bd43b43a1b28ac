"""Command line: `python -m fer_lib COMMAND`."""

import argparse
import sys

_MODEL = "a shipped model's name, a run's folder or an exported file (default)"


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
    files = commands.add_parser("export", help="make small files of a run, with a model card")
    files.add_argument("run", metavar="RUN", help="folder of a finished run")
    files.add_argument("--to", required=True, metavar="DIR", help="folder of the files")
    files.add_argument("--name", default="classifier", help="what their names start with")
    files.add_argument("--formats", nargs="+", metavar="FORMAT", help="keras litert litert_int8 …")
    files.add_argument("--cross", metavar="FILE", help="table of notebooks/cross_dataset.ipynb")
    files.set_defaults(function=_export)
    data = commands.add_parser("describe", help="print the card of a data set")
    data.add_argument("dataset", help="its name")
    data.set_defaults(function=_describe)
    photos = commands.add_parser("predict", help="name the expressions in photos or folders")
    photos.add_argument("paths", nargs="+", metavar="PATH", help="photos, or folders of them")
    photos.add_argument("--model", default="default", help=_MODEL)
    photos.add_argument("--out", metavar="FILE", help="write the table (.csv, .parquet or .json)")
    photos.add_argument("--overwrite", action="store_true", help="even if that file is there")
    photos.add_argument("--annotated", metavar="DIR", help="write the photos with boxes and names")
    photos.add_argument("--detector", default="auto", help="auto, yunet or haar (auto)")
    photos.set_defaults(function=_predict)
    video = commands.add_parser("video", help="follow the expressions of a video over time")
    video.add_argument("source", metavar="IN", help="video file, or number of a camera")
    video.add_argument("--model", default="default", help=_MODEL)
    video.add_argument("--out", metavar="FILE", help="write the table (.csv, .parquet or .json)")
    video.add_argument("--annotated", metavar="FILE", help="write the video with boxes and names")
    video.add_argument("--timeline", metavar="FILE", help="write a figure of emotions over time")
    video.add_argument("--every", type=int, default=1, help="look at every n-th frame (1)")
    video.add_argument("--overwrite", action="store_true", help="even if files are there")
    video.add_argument("--detector", default="auto", help="auto, yunet or haar (auto)")
    video.set_defaults(function=_video)
    webcam = commands.add_parser("webcam", help="a live window: Esc or q quit, s, r, m")
    webcam.add_argument("--camera", type=int, default=0, help="number of the camera (0)")
    webcam.add_argument("--model", default="default", help=_MODEL)
    webcam.add_argument("--detector", default="auto", help="auto, yunet or haar (auto)")
    webcam.set_defaults(function=_webcam)
    page = commands.add_parser("page", help="a local web page: photos, webcam, video")
    page.add_argument("--model", default="default", help=_MODEL)
    page.add_argument("--port", type=int, help="port on this machine")
    page.set_defaults(function=_page)
    check = commands.add_parser("audit", help="check a run or a data set for what fools people")
    check.add_argument("target", help="folder of a run, or name or path of a data set")
    check.add_argument("--json", metavar="FILE", help="also write the findings to a JSON file")
    check.set_defaults(function=_audit)
    sweep = commands.add_parser("sweep", help="run a grid of experiments, here or on SLURM")
    sweep.add_argument("grid", nargs="+", metavar="GRID", help="YAML file, name=value,value …")
    sweep.add_argument("--engine", choices=("local", "slurm"), default="local")
    sweep.add_argument("--workers", type=int, help="runs at a time (local)")
    sweep.add_argument("--cores", type=int, help="cores per run (local)")
    sweep.add_argument("--slurm-option", nargs="+", default=[], metavar="NAME=VALUE")
    sweep.add_argument("--status", action="store_true", help="only tell how far each point is")
    sweep.add_argument("--collect", metavar="FILE", help="only write the finished runs to a CSV")
    sweep.set_defaults(function=_sweep)
    options = parser.parse_args(arguments)
    try:
        return options.function(options)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"fer_lib: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"fer_lib: stopped. {stop}".rstrip(), file=sys.stderr)
        return 130


# Each command imports what it needs, so that --help answers at once.


def _runs(options):
    from fer_lib.experiments.runs import runs_table, summary_table
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
    from fer_lib.experiments.runs import publish

    print(*publish(options.runs, options.to), sep="\n")
    return 0


def _export(options):
    from fer_lib.experiments import model_card
    from fer_lib.experiments.runs import load_run

    run = load_run(options.run)
    cross = model_card.read_cross(options.cross, run) if options.cross else None
    table = model_card.ship(
        run, options.to, name=options.name, formats=options.formats, cross=cross
    )
    print(table.round(4).to_string())
    return 0


def _describe(options):
    from fer_lib.data.catalogue import describe

    print(describe(options.dataset))
    return 0


def _predict(options):
    from fer_lib.vision import photos

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


def _video(options):
    from fer_lib.vision import photos, video

    table = video.predict_video(
        options.source,
        options.model,
        every=options.every,
        detector=options.detector,
        out=options.out,
        annotated=options.annotated,
        timeline=options.timeline,
        overwrite=options.overwrite,
    )
    print(photos.screen_table(table))
    return 0


def _webcam(options):
    from fer_lib.vision import webcam

    lines = webcam.show_webcam(options.model, options.camera, detector=options.detector)
    print(*lines, sep="\n")
    return 0


def _page(options):
    from fer_lib.vision import page

    page.serve(options.model, port=options.port, show=print)
    return 0


def _audit(options):
    from fer_lib.audit import report

    findings = report.audit(options.target)
    if options.json:
        report.write_json(findings, options.json)
    print(report.report(findings))
    return int(report.failed(findings))


def _sweep(options):
    from fer_lib.sweeps import local, slurm
    from fer_lib.sweeps.grid import read_grid
    from fer_lib.sweeps.summary import collect, status, summarise

    grid, show = read_grid(options.grid), lambda text: print(text, flush=True)
    if options.status:
        try:
            waiting = slurm.queued(grid)
        except OSError as error:  # SLURM's commands are there, but no controller answers
            show(f"Queued points are not known: {error}")
            waiting = ()
        show(status(grid, waiting).to_string(index=False))
        return 0
    if options.collect:
        show(summarise(collect(grid, options.collect)).to_string())
        return 0
    if options.engine == "slurm":
        wrong = [word for word in options.slurm_option if "=" not in word]
        if wrong:
            raise ValueError(f"--slurm-option takes NAME=VALUE; got {wrong[0]!r}.")
        chosen = dict(word.split("=", 1) for word in options.slurm_option)
        job = slurm.submit(grid, show=show, **chosen)
        show(f"submitted as job {job}" if job else "nothing to submit")
        return 0
    local.stop_on_terminate()
    states = local.run(grid, workers=options.workers, cores=options.cores, show=show)
    return int(any(state == "failed" for state in states.values()))


if __name__ == "__main__":
    sys.exit(main())
