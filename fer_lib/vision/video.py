"""Videos to a table: one row per face and frame, faces numbered over time."""

import contextlib
import math
import os
import tempfile
import warnings
from pathlib import Path

from fer_lib import storage
from fer_lib.vision import drawing, episodes, face_table, people, threads, video_copy, video_files
from fer_lib.vision.part_file import PartFile, left_complete, model_identity
from fer_lib.vision.recogniser import SEARCH_EVERY, Recogniser
from fer_lib.vision.video_places import check_free, find_files, find_videos

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
    same_people=False,
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
        baseline: When people looked neutral: `(start, end)` in seconds of each video, or a file,
            a video or a photograph, whose rows come first in the table; or `None`
            (`people.relative_to_baseline`).
        same_people: Whether who was in one video is known again by looks in the next ones, and
            keeps the number; a `baseline` file asks for it. `appearance` says how far to trust it.
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
    if isinstance(baseline, tuple | list):
        people.check_span(*baseline)
    videos, several = find_videos(sources)
    neutral = os.fspath(baseline) if isinstance(baseline, str | os.PathLike) else None
    if neutral is not None:
        videos, same_people = [video for video in videos if video != neutral], True
        if not videos:
            raise ValueError(f"{neutral} is the video itself; of a part of it, give start and end.")
    tables = [path for path in (out, summary) if path is not None]
    places = {"annotated": annotated, "timeline": timeline, "elan": elan}
    files = find_files(tables, places, videos, several, also_read=neutral)
    with contextlib.ExitStack() as stack:
        for path in filter(None, [*tables, *places.values()]):
            stack.enter_context(storage.locked(os.path.abspath(path)))
        written = [*tables, *files["timeline"], *files["elan"]]
        if not overwrite and not (out is not None and left_complete(out)):
            check_free(written)
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
        if same_people:
            call |= {"same_people": True, "neutral": neutral and video_files.identity(neutral)}
        part_of = out
        if out is None:
            part_of = Path(stack.enter_context(tempfile.TemporaryDirectory()), "faces.csv")
        part = PartFile(part_of, predictor.label_set, call, COLUMNS)
        stack.callback(part.close)
        job = _Job(recogniser, part, every, overwrite, progress, same_people)
        try:
            if neutral is not None:
                job.follow(neutral, None, several=False)
            for video, copy in zip(videos, files["annotated"], strict=True):
                job.follow(video, copy, several, start, end)
        except KeyboardInterrupt:
            part.close()
            kept = f"the rows so far are in {part.path}, and the same call goes on from there"
            raise KeyboardInterrupt(
                f"Stopped: {kept if out is not None else 'nothing was kept (out is None)'}."
            ) from None
        table = part.table()
        table.attrs |= job.counts()
        if not overwrite and not part.complete:
            check_free(written)
        part.finish()
        if baseline is not None:
            name = neutral and video_files.name_of(neutral)
            span = (0, math.inf) if neutral else baseline
            table = people.relative_to_baseline(table, *span, source=name)
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


class _Job:
    """Goes through videos one after the other, from where a part of the table ends."""

    def __init__(self, recogniser, part, every, overwrite, progress, same_people):
        self.recogniser, self.part, self.every = recogniser, part, every
        self.overwrite, self.progress, self.same_people = overwrite, progress, same_people
        self.state = part.state or {"file": 0, "missing": 0, "frames": 0, "broken": 0} | _FRESH
        self.number = 0

    def counts(self):
        """Return the counts for a table's `attrs`."""
        names = {"frames": "frames", "broken": "broken_frames", "missing": "missing_frames"}
        return {name: self.state[key] for key, name in names.items()}

    def follow(self, source, copy, several, start=0.0, end=None):
        """Take in one video, unless that was done before."""
        number, self.number = self.number, self.number + 1
        if number < self.state["file"]:
            return
        ours = self.overwrite or self.state["finishing"] or self.part.complete
        if copy is not None and not ours:
            check_free([copy])
        try:
            with contextlib.ExitStack() as stack:
                video = video_files.Video(source)
                stack.callback(video.close)
                if copy is not None:
                    copy = video_copy.Copy(copy, video, start)
                    stack.callback(copy.drop)
                missing = self._frames(video, copy, start, end)
                if not self.state["next"]:
                    what = f"it has none from {start:g} s on" if start else "not one of it came"
                    raise ValueError(f"{video.name} gives no frame: {what}.")
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
        self.recogniser.restart(same_people=self.same_people)
        fresh = dict(_FRESH)
        if self.same_people:
            fresh["recogniser"] = self.recogniser.state()
        self._go_on([], file=number + 1, missing=missing, **fresh)

    def _go_on(self, rows, **changes):
        self.state = self.state | changes
        self.part.append(rows, self.state)

    def _frames(self, video, copy, start, end):
        """Take in the frames of a video, and return how many are missing at its end."""
        from tqdm import tqdm

        first, seen = self.state["next"], self.state["seen"]
        if self.state["recogniser"]:
            self.recogniser.restore(self.state["recogniser"])
        done = (rows for rows in self.part.frames() if rows[0]["source"] == video.name)
        frames = video.frames(
            start=start,
            every=self.every,
            wanted=lambda number: copy is not None or number >= first or number == seen,
        )

        def draw(item):
            frame, rows = item
            image = None if frame.image is None else drawing.annotate(frame.image, rows)
            copy.write(frame, image)

        expected = _expected(video, self.every, start, end)
        with (
            threads.made_ahead(frames) as ahead,
            threads.done_behind(draw) as drawn,
            tqdm(
                total=expected, desc=Path(video.name).name, unit="frame", disable=not self.progress
            ) as bar,
            contextlib.suppress(*[KeyboardInterrupt] * video.live),
        ):
            for frame in ahead:
                if end is not None and frame.seconds >= end:
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
