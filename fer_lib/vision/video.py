"""Videos to a table: one row per face and frame, faces numbered over time."""

import contextlib
import glob
import os
import tempfile
import warnings
from pathlib import Path

from fer_lib import storage
from fer_lib.choices import lookup
from fer_lib.vision import drawing, episodes, face_table, people, threads, video_copy, video_files
from fer_lib.vision.part_file import PartFile, left_complete, model_identity
from fer_lib.vision.recogniser import SEARCH_EVERY, Recogniser

FIGURES = (".png", ".pdf", ".svg")
# Of the files that a folder of videos may hold; a file given by name may end as it likes.
SUFFIXES = tuple(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .webm .wmv".split()
)
COLUMNS = {}
for _name, _kind in face_table.COLUMNS.items():
    COLUMNS |= {_name: _kind} | ({"timestamp": "float64"} if _name == "seconds" else {})


def predict_video(
    sources,
    predictor="default",
    *,
    every=1,
    start=0.0,
    end=None,
    baseline=None,
    detector="auto",
    out=None,
    summary=None,
    annotated=None,
    timeline=None,
    elan=None,
    overwrite=False,
    progress=True,
    **options,
):
    """Find the faces of videos, follow them, and tell their apparent emotions over time.

    Reading, recognising and drawing run side by side. The rows go to a file beside `out`
    (`part_file.PartFile`) as they come, so that hours of video need no more memory than minutes
    until the table is read back. A run that was killed goes on there when called again in the
    same way, to the same table; stopped by Ctrl-C, it says where its rows are. Of a live stream
    Ctrl-C is the end, and its table is written.

    Args:
        sources: Video file, address of a stream (`rtsp://…`, `https://…`), folder, pattern such as
            `day1/*.mp4`, or a list of them.
        predictor: `Predictor`, or what `load_predictor` takes. Anything with `label_set` and
            `predict` will do.
        every: Take every n-th frame, from the first.
        start: Seconds of each video at which to begin.
        end: Seconds at which to stop, or `None` for its end.
        baseline: `(start, end)` in seconds of each video in which people looked neutral, or `None`
            (`people.relative_to_baseline`).
        detector: Key of `detection.DETECTORS`, or `"auto"`.
        out: File for the table (see `face_table.save_table`).
        summary: File for a table with a row per person and video (`people.per_person`).
        annotated: File for a copy of the video with the faces marked and its sound; its ending is
            a key of `video_copy.COPIES`.
        timeline: File for a figure of the emotions over time: .png, .pdf or .svg.
        elan: Text file of the episodes, a tier per person, that ELAN imports
            (`episodes.save_elan`). For a folder, a pattern or a list of videos, this and the two
            above are folders, of a file per video.
        overwrite: Whether these files may replace others. A video that is read is never replaced.
        progress: Whether to show a bar.
        **options: Of `recogniser.Recogniser`.

    Returns:
        `pandas.DataFrame` as of `photos.recognise`, with `frame` (from 0), `seconds` (at
        which a player shows it), `timestamp` (in the file, in seconds; another number where a
        format's clock starts anywhere) and `face` (a number that stays with a person of one video,
        as far as `tracking` can tell). `detection_score` is empty where a face was followed. A
        frame without a face, or that is damaged, keeps one row with an empty `emotion` and a
        `note`, and so does one of several videos that cannot be read. `attrs` counts `frames` and
        `broken_frames` taken, and `missing_frames` that the files promise after their last.

    Raises:
        ValueError: If an argument does not fit or a video cannot be opened.
        FileExistsError: If a file is there already, or a part of another run.
        BlockingIOError: If another process is writing one of the files.
        KeyboardInterrupt: On Ctrl-C; the message says where the rows are.
    """
    if int(every) != every or every < 1:
        raise ValueError(f"every must be an integer from 1; got {every}.")
    if start < 0 or (end is not None and end <= start):
        raise ValueError(f"start must be at least 0 and end after it; got {start} and {end}.")
    videos, several = find_videos(sources)
    ends = {
        "annotated": (annotated, video_copy.COPIES, ".mp4"),
        "timeline": (timeline, dict.fromkeys(FIGURES), ".png"),
        "elan": (elan, {".txt": 1, ".tsv": 1}, ".txt"),
    }
    files = {
        name: _files(name, path, known, videos, usual if several else None)
        for name, (path, known, usual) in ends.items()
    }
    tables = [path for path in (out, summary) if path is not None]
    for path in tables:
        lookup(face_table.TABLE_FORMATS, Path(path).suffix.lower(), f"ending of a table ({path})")
    written = [*map(Path, tables), *(path for paths in files.values() for path in paths if path)]
    _check_sources_stay(written, videos)
    with contextlib.ExitStack() as stack:
        for path in [*tables, *(path for path, _, _ in ends.values() if path is not None)]:
            stack.enter_context(storage.locked(os.path.abspath(path)))
        if not overwrite and not (out is not None and left_complete(out)):
            _check_free([path for path in written if path not in files["annotated"]])
        if not hasattr(predictor, "predict"):
            from fer_lib.inference.predictor import load_predictor

            predictor = load_predictor(predictor)
        settings = sorted(options.items())
        options["search_every"] = max(1, options.get("search_every", SEARCH_EVERY) // every)
        recogniser = Recogniser(predictor, detector=detector, **options)
        if recogniser.notice:
            warnings.warn(recogniser.notice, stacklevel=2)
        call = {
            "source": [video_files.identity(video) for video in videos],
            "model": model_identity(predictor),
            "detector": recogniser.detector,
            "every": every,
            "start": start,
            "end": end,
            "settings": settings,
        }
        part_of = out
        if out is None:
            part_of = Path(stack.enter_context(tempfile.TemporaryDirectory()), "faces.csv")
        part = PartFile(part_of, predictor.label_set, call, COLUMNS)
        stack.callback(part.close)
        job = _Job(recogniser, part, every, start, end, overwrite, progress)
        try:
            for video, copy in zip(videos, files["annotated"], strict=True):
                job.follow(video, copy, several)
        except KeyboardInterrupt:
            part.close()
            kept = f"the rows so far are in {part.path}, and the same call goes on from there"
            raise KeyboardInterrupt(
                f"Stopped: {kept if out is not None else 'nothing was kept (out is None)'}."
            ) from None
        table = part.table()
        table.attrs |= job.counts()
        if not overwrite and not part.complete:
            _check_free([path for path in written if path not in files["annotated"]])
        part.finish()
        if baseline is not None:
            table = people.relative_to_baseline(table, *baseline)
        for video, figure, text in zip(videos, files["timeline"], files["elan"], strict=True):
            own = table[table["source"] == video_files.name_of(video)]
            if figure:
                _save_timeline(own, figure)
            if text:
                episodes.save_elan(own, text)
        if summary is not None:
            face_table.save_table(people.per_person(table), summary, overwrite=True)
        if out is not None:
            face_table.save_table(table, out, overwrite=True)
        part.remove()
    _warn_of_loss(table.attrs)
    return table


def find_videos(sources):
    """Return the videos that sources name, and whether they may be several.

    Args:
        sources: As of `predict_video`.

    Returns:
        `(videos, several)`: list of paths and addresses, none twice, and `False` for one that was
        named itself.

    Raises:
        ValueError: If a folder or pattern holds no video, or a source is a camera.
    """
    several = isinstance(sources, list | tuple)
    videos = []
    for source in sources if several else [sources]:
        if isinstance(source, int) or (str(source).isdecimal() and not os.path.exists(source)):
            raise ValueError(
                f"{source} is a camera: python -m fer_lib webcam --camera {source} shows it, and "
                "records its table with the key r."
            )
        source, found = os.fspath(source), None
        if os.path.isdir(source):
            found = [
                os.path.join(folder, name)
                for folder, below, names in sorted(os.walk(source))
                for name in sorted(names)
                if name.lower().endswith(SUFFIXES) and "/." not in f"/{os.path.join(folder, name)}"
            ]
        elif glob.has_magic(source) and not os.path.exists(source):
            if not video_files.is_address(source):
                found = sorted(filter(os.path.isfile, glob.glob(source, recursive=True)))
        if found == []:
            raise ValueError(f"{source} holds no videos.")
        several |= found is not None
        videos += found or [source]
    if not videos:
        raise ValueError("sources must name at least one video; the list is empty.")
    return list(dict.fromkeys(videos)), several


class _Job:
    """Goes through videos one after the other, from where a part of the table ends."""

    def __init__(self, recogniser, part, every, start, end, overwrite, progress):
        self.recogniser, self.part = recogniser, part
        self.every, self.start, self.end = every, start, end
        self.overwrite, self.progress = overwrite, progress
        self.state = part.state or {"file": 0, "missing": 0, "frames": 0, "broken": 0} | _FRESH
        self.number = 0

    def counts(self):
        """Return the counts for a table's `attrs`."""
        names = {"frames": "frames", "broken": "broken_frames", "missing": "missing_frames"}
        return {name: self.state[key] for key, name in names.items()}

    def follow(self, source, copy, several):
        """Take in one video, unless that was done before."""
        number, self.number = self.number, self.number + 1
        if number < self.state["file"]:
            return
        if copy is not None and not self.overwrite and not self.state["finishing"]:
            _check_free([copy])
        try:
            with contextlib.ExitStack() as stack:
                video = video_files.Video(source)
                stack.callback(video.close)
                if copy is not None:
                    copy = video_copy.Copy(copy, video, self.start)
                    stack.callback(copy.drop)
                missing = self._frames(video, copy)
                if not self.state["next"]:
                    raise ValueError(f"{video.name} cannot be read: not one frame of it came.")
                if copy is not None:
                    self._go_on([], finishing=True)
                    self.part.save()
                    copy.finish()
        except ValueError as error:
            if not several:
                if not self.state["next"]:
                    self.part.remove()
                raise
            missing = 0
            at = {"source": video_files.name_of(source), "frame": self.state["next"]}
            self._go_on([at | {"seconds": 0.0, "emotion": "", "note": str(error)}])
        missing += self.state["missing"]
        self._go_on([], file=number + 1, missing=missing, **_FRESH)
        self.recogniser.restart()

    def _go_on(self, rows, **changes):
        self.state = self.state | changes
        self.part.append(rows, self.state)

    def _frames(self, video, copy):
        """Take in the frames of a video, and return how many are missing at its end."""
        from tqdm import tqdm

        first, seen = self.state["next"], self.state["seen"]
        if self.state["recogniser"]:
            self.recogniser.restore(self.state["recogniser"])
        done = (rows for rows in self.part.frames() if rows[0]["source"] == video.name)
        frames = video.frames(
            start=self.start,
            every=self.every,
            wanted=lambda number: copy is not None or number >= first or number == seen,
        )

        def draw(item):
            frame, rows = item
            image = None if frame.image is None else drawing.annotate(frame.image, rows)
            copy.write(frame, image)

        expected = _expected(video, self.every, self.start, self.end)
        with (
            threads.made_ahead(frames) as ahead,
            threads.done_behind(draw) as drawn,
            tqdm(
                total=expected, desc=Path(video.name).name, unit="frame", disable=not self.progress
            ) as bar,
            contextlib.suppress(*[KeyboardInterrupt] * video.live),
        ):
            for frame in ahead:
                if self.end is not None and frame.seconds >= self.end:
                    return 0
                bar.update()
                if frame.number < first:
                    if frame.number == seen:
                        self.recogniser.see(frame.image)
                    rows = next(done)
                else:
                    rows = self._rows(video, frame)
                if copy is not None:
                    drawn((frame, rows))
        return video.missing

    def _rows(self, video, frame):
        at = {
            "source": video.name,
            "frame": frame.number,
            "seconds": round(frame.seconds, 6),
            "timestamp": round(frame.timestamp, 6),
        }
        seen = self.state["seen"]
        if frame.broken:
            rows = [at | {"emotion": "", "note": "the frame is damaged"}]
        else:
            rows = [at | row for row in self.recogniser.step(frame.image, frame.seconds)]
            rows, seen = rows or [at | {"emotion": "", "note": "no face found"}], frame.number
        self._go_on(
            rows,
            next=frame.number + 1,
            seen=seen,
            frames=self.state["frames"] + 1,
            broken=self.state["broken"] + frame.broken,
            recogniser=self.recogniser.state(),
        )
        return rows


# What is known of a video of which nothing was read.
_FRESH = {"next": 0, "seen": -1, "recogniser": None, "finishing": False}


def _expected(video, every, start, end):
    """Return how many frames will come, or `None` if the file does not say."""
    length = video.length
    if end is not None:
        length = min(length or 1 << 60, round(end * video.rate))
    return None if length is None else max(0, -(-(length - round(start * video.rate)) // every))


def _files(name, path, known, videos, usual):
    """Return the file of one kind that is written for each video, or `None` for each.

    Args:
        usual: Ending of the files in a folder, or `None` for a single video.
    """
    if path is None:
        return [None] * len(videos)
    path = Path(path)
    if usual is None:
        lookup(known, path.suffix.lower(), f"ending of {name} ({path})")
        return [path]
    if path.suffix.lower() in known or path.is_file():
        raise ValueError(f"{name} must be a folder for several videos; got {path}.")
    stems, files = [Path(video_files.name_of(video)).stem for video in videos], []
    for number, stem in enumerate(stems):
        again = stems[:number].count(stem)
        files.append(path / f"{stem}{f'-{again + 1}' if again else ''}{usual}")
    return files


def _check_sources_stay(written, videos):
    for path in written:
        for video in videos:
            if os.path.exists(video) and path.exists() and os.path.samefile(path, video):
                raise ValueError(f"{path} is the video that is read: choose another name for it.")
    if len({os.path.abspath(path) for path in written}) < len(written):
        raise ValueError("two of the files to write have one name; give each its own.")


def _check_free(paths):
    for path in paths:
        if path.exists():
            raise FileExistsError(f"{path} is there already; choose another name, or overwrite it.")


def _save_timeline(table, path):
    from fer_lib import plots

    figure = plots.timeline_figure(*episodes.lanes(table))
    plots.save_figure(figure, path.with_suffix(""), [path.suffix[1:]])


def _warn_of_loss(counts):
    broken, missing = counts["broken_frames"], counts["missing_frames"]
    if broken or missing:
        warnings.warn(
            f"{broken} of {counts['frames']} frames are damaged, and {missing} are missing that "
            "were promised after the last.",
            stacklevel=3,
        )
