"""Video files and streams on PyAV: frames at the file's own times, and marked copies with sound."""

import contextlib
import dataclasses
import os
import re
import time
from pathlib import Path

import numpy as np

from fer_lib import storage

# Ending of a marked copy → the sound that its players know; other sound becomes AAC.
COPIES = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "alac"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac"),
    ".mkv": None,  # any
}
_TRIES = 100  # damaged packets in a row after which the file counts as ended
_MISSING = 0.5  # seconds that may lack at the end: containers round the times that they promise
_WAIT = (20.0, 20.0)  # seconds to open a stream, and for its next packet


@dataclasses.dataclass
class Frame:
    """One picture of a video.

    Args:
        number: From 0 at the file's first picture.
        seconds: Time at which a player shows it.
        timestamp: The time stamp in the file, in seconds. It differs from `seconds` where a
            format's clock starts anywhere (MPEG-TS, streams).
        image: `uint8` array of shape `(height, width, 3)`, RGB, upright; `None` if it is damaged
            or was not wanted.
        broken: Whether it is damaged.
        sound: The packets of sound that came before it in the file.
    """

    number: int
    seconds: float
    timestamp: float
    image: np.ndarray | None
    broken: bool = False
    sound: list = dataclasses.field(default_factory=list)


class Video:
    """A video file or stream.

    Args:
        source: Path, or an address such as `rtsp://…` or `https://…`.

    Raises:
        ValueError: If it cannot be opened; the message names it and the reason.
        ImportError: If PyAV is missing.
    """

    def __init__(self, source):
        av = _pyav()
        self.address = os.fspath(source)
        self.name = name_of(source)
        stream = is_address(source)
        if not stream:
            _check_file(source)
        network = {"rtsp_transport": "tcp"} if self.address.startswith("rtsp") else {}
        try:
            self.container = av.open(
                self.address, options=network, timeout=_WAIT if stream else None
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = error.strerror if stream and getattr(error, "strerror", "") else ""
            raise ValueError(
                f"{self.name} cannot be read: {reason or 'it is no video that FFmpeg knows'}"
                f"{'' if reason else ', or it is damaged'}."
            ) from None
        pictures = [
            s for s in self.container.streams.video if "ATTACHED_PIC" not in str(s.disposition)
        ]
        if not pictures or pictures[0].codec_context is None:
            self.container.close()
            raise ValueError(f"{self.name} cannot be read: there is no picture in it.")
        self.stream = pictures[0]
        self.stream.thread_type = "AUTO"
        self.sound = next(iter(self.container.streams.audio), None)
        # Whether nobody knows when it ends, and nothing of it can be read twice.
        self.live = stream and not self.container.duration
        # These formats' clocks start anywhere; in all others a player's time 0 is the clock's.
        loose = self.container.format.flags & av.format.Flags.ts_discont.value
        self.origin = (self.container.start_time or 0) / 1e6 if loose or self.live else 0.0
        self.missing, self.last_sound = 0, []

    @property
    def rate(self):
        """Pictures per second on average; 30 where the file does not say."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return float(rate) if rate and 0 < rate <= 1000 else 30.0

    @property
    def length(self):
        """Pictures that the file is expected to hold, or `None`."""
        seconds = self._promised()
        return self.stream.frames or (round(seconds * self.rate) if seconds else None)

    def close(self):
        """Close the file."""
        self.container.close()

    def frames(self, *, start=0.0, every=1, wanted=lambda number: True):
        """Yield the pictures in the order in which they are shown.

        Afterwards `missing` is the number of pictures that the file promises after its last one,
        and `last_sound` holds the packets of sound after it.

        Args:
            start: Seconds before which nothing is yielded.
            every: Yield every n-th picture, from the first.
            wanted: Function from a number to whether its pixels are needed.

        Yields:
            `Frame`.
        """
        number = first = self._seek(start) if start else 0
        sound = []
        for stamp, frame in self._decoded(sound):
            seconds = stamp - self.origin
            if seconds < start - 1e-6:
                number += not self._sought
                first = number
                sound.clear()
                continue
            if (number - first) % every == 0:
                heard, sound[:] = list(sound), []
                broken = frame is None
                image = None if broken or not wanted(number) else _pixels(frame)
                yield Frame(number, seconds, stamp, image, broken, heard)
            number += 1
        self.last_sound, self.missing = sound, max(0, self._lacking())

    def _seek(self, start):
        """Go to the last key picture before a time, and return how many pictures come before."""
        limit = (start + self.origin - 1e-6) / self.stream.time_base
        before, self._sought = 0, not is_address(self.address)
        if not self._sought:
            return 0
        for packet in self.container.demux(self.stream):
            if packet.dts is not None and packet.dts >= limit:
                break
            before += packet.pts is not None and packet.pts < limit and not packet.is_discard
        self.container.seek(max(0, int(limit)), stream=self.stream, backward=True)
        return before

    _sought = False

    def _decoded(self, sound):
        """Yield `(time stamp in seconds, frame)`, `None` for a damaged one; collect the sound."""
        broken, last, step = [], None, 1 / self.rate
        self._ends = {}
        for packet in self._packets():
            if packet.stream is not self.stream:
                sound.append(packet)
                continue
            stamp = _seconds(packet)
            try:
                frames = packet.decode()
            except self._errors:
                broken += [stamp] if stamp is not None and not packet.is_discard else []
                continue
            for frame in frames:
                now = frame.time
                if now is None or (last is not None and now <= last):
                    now = (0.0 if last is None else last) + (last is not None) * step
                earlier = sorted(s for s in broken if s < now and (last is None or s > last))
                broken = [s for s in broken if s > now]
                yield from ((s, None) for s in earlier)
                yield now, None if frame.is_corrupt else frame
                last = now
        yield from ((s, None) for s in sorted(broken) if last is None or s > last)

    def _packets(self):
        av, failures = _pyav(), 0
        self._errors = (av.error.InvalidDataError, av.error.PatchWelcomeError)
        streams = [self.stream] + ([self.sound] if self.sound is not None else [])
        while failures < _TRIES:
            try:
                for packet in self.container.demux(streams):
                    failures = 0
                    if packet.stream is self.stream or packet.dts is not None:
                        end = _seconds(packet)
                        if end is not None:
                            end += float((packet.duration or 0) * packet.time_base)
                            index = packet.stream_index
                            self._ends[index] = max(end, self._ends.get(index, end))
                        yield packet
                return
            except self._errors:
                failures += 1
            except av.error.FFmpegError as error:
                raise ValueError(f"{self.name} cannot be read on: {error.strerror}.") from None

    def _promised(self):
        """Return the seconds that the file says it has, or `None` if it makes no promise."""
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        return self.container.duration / 1e6 if self.container.duration else None

    def _lacking(self):
        av, seconds = _pyav(), self._promised()
        loose = self.container.format.flags & av.format.Flags.ts_discont.value
        if seconds is None or loose or self.live or not self._ends:
            return 0
        if self.stream.duration:
            end = (self.stream.start_time or 0) * float(self.stream.time_base) + seconds
            lacks = end - self._ends.get(self.stream.index, 0.0)
        else:
            lacks = (self.container.start_time or 0) / 1e6 + seconds - max(self._ends.values())
        return round(lacks * self.rate) if lacks > _MISSING else 0


class Copy:
    """A copy of a video with other pixels: H.264 that plays everywhere, and the sound as it was.

    The file gets its name by `finish`, when all of it is there. Whoever makes one must hold the
    lock of the file, or of its folder (`storage.locked`).

    Args:
        path: File; its ending is a key of `COPIES`.
        video: `Video` whose times and sound it takes.
        start: Seconds of the video that are the copy's first.

    Raises:
        OSError: From any method, if the file cannot be written, as on a full disk.
    """

    def __init__(self, path, video, start=0.0):
        av = _pyav()
        self.path, self.video, self.start = Path(path), video, start + video.origin
        self._stack, self._pictures, self._failed = contextlib.ExitStack(), None, True
        storage.remove_remains(self.path)
        part = self._stack.enter_context(self._part())
        options = {} if self.path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
        self.container = av.open(str(part), "w", options=options)
        self._stack.callback(self._shut)
        self._sound, self._voice = None, None
        if video.sound is not None:
            self._open_sound()

    def write(self, frame, image):
        """Add the picture (`uint8` RGB, or `None`) that stands for a `Frame`, and its sound."""
        if image is not None:
            odd = [(0, side % 2) for side in image.shape[:2]]
            if any(more for _, more in odd):  # H.264 stores colours for two by two pixels
                image = np.pad(image, [*odd, (0, 0)], "edge")
            if self._pictures is None:
                self._open_pictures(image.shape)
            base = self.video.stream.time_base
            new = _to_video(image, round((frame.timestamp - self.start) / base))
            new.time_base = base
            self.container.mux(self._pictures.encode(new))
        self.hear(frame.sound)

    def hear(self, packets):
        """Add packets of sound."""
        for packet in packets:
            self._hear(packet)

    def finish(self):
        """Write the end and give the file its name."""
        self.hear(self.video.last_sound)
        if self._pictures is not None:
            self.container.mux(self._pictures.encode(None))
        if self._voice is not None:
            self.container.mux(self._sound.encode(None))
        self.container.close()
        self._failed = False
        self._stack.close()

    def drop(self):
        """Give it up and leave nothing."""
        with contextlib.suppress(OSError, _Dropped):
            self._stack.close()

    @contextlib.contextmanager
    def _part(self):
        with storage.replacing(self.path) as temporary:
            yield temporary
            if self._failed:
                raise _Dropped

    def _shut(self):
        # A failed file's end cannot be written either.
        with contextlib.suppress(OSError) if self._failed else contextlib.nullcontext():
            self.container.close()

    def _open_pictures(self, shape):
        stream = self.container.add_stream("libx264", rate=round(self.video.rate) or 1)
        _set_h264(stream, shape)
        stream.codec_context.time_base = self.video.stream.time_base
        if ratio := self.video.stream.sample_aspect_ratio:
            stream.codec_context.sample_aspect_ratio = ratio
        self._pictures = stream

    def _open_sound(self):
        av, sound = _pyav(), self.video.sound
        known = COPIES[self.path.suffix.lower()]
        if known is None or sound.codec_context.name in known:
            self._sound = self.container.add_stream_from_template(sound)
        else:
            rate = min(48000, sound.codec_context.sample_rate)
            layout = sound.codec_context.layout.name
            self._sound = self.container.add_stream("aac", rate=rate, layout=layout)
            self._voice = av.AudioResampler(
                self._sound.codec_context.format, layout, rate, frame_size=1024
            )

    def _hear(self, packet):
        sound = self.video.sound
        shift = round(self.start / sound.time_base)
        if (packet.pts if packet.pts is not None else packet.dts) < shift:
            return
        if self._voice is None:
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts -= shift
            packet.stream = self._sound
            self.container.mux(packet)
            return
        with contextlib.suppress(self.video._errors):
            for frame in packet.decode():
                frame.pts = None if frame.pts is None else frame.pts - shift
                for part in self._voice.resample(frame):
                    self.container.mux(self._sound.encode(part))


class _Dropped(Exception):
    """Ends the block of `storage.replacing` without a file."""


def write_frames(path, pictures, rate=25):
    """Write pictures as a video file without sound, H.264.

    Args:
        path: File; its ending says the format.
        pictures: Iterable of `uint8` arrays of one shape `(height, width, 3)`, RGB, of even sides.
        rate: Pictures per second.

    Raises:
        ImportError: If PyAV is missing.
    """
    av = _pyav()
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        for number, picture in enumerate(pictures):
            if not number:
                _set_h264(stream, picture.shape)
            container.mux(stream.encode(_to_video(picture, number)))
        container.mux(stream.encode(None))


def is_address(source):
    """Tell whether a source is the address of a stream."""
    return bool(re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", str(source)))


def name_of(source):
    """Return what a table calls a source: its path, or its address without user and password."""
    name = str(source).encode("utf-8", "backslashreplace").decode()
    return re.sub(r"(://)[^/@]*@", r"\1", name) if is_address(source) else name


def identity(source):
    """Return what a source is known by, as JSON can hold it, to go on with it another time."""
    if is_address(source):
        return [name_of(source), time.time()]  # the past of a stream does not come again
    if not os.path.exists(source):
        return [os.path.abspath(source)]
    stat = os.stat(source)
    return [os.path.abspath(source), stat.st_size, stat.st_mtime_ns]


def _check_file(source):
    if not Path(source).is_file():
        what = "it is no file" if Path(source).exists() else "there is no such file"
        raise ValueError(f"{source} cannot be read: {what}.")
    if not os.access(source, os.R_OK):
        raise ValueError(f"{source} cannot be read: permission denied.")


def _pixels(frame):
    """Return a decoded picture as RGB, turned and mirrored as its file says."""
    # The fastest way to RGB; it differs from the slowest by two grey levels at most.
    image = frame.reformat(format="rgb24", interpolation="FAST_BILINEAR").to_ndarray()
    for data in frame.side_data or ():
        if data.type.name == "DISPLAYMATRIX":
            image = _turned(image, np.frombuffer(bytes(data), np.int32)[[0, 1, 3, 4]])
    return image


def _set_h264(stream, shape):
    stream.width, stream.height, stream.pix_fmt = shape[1], shape[0], "yuv420p"
    stream.options = {"preset": "veryfast", "crf": "20", "bf": "0"}
    stream.codec_context.colorspace = stream.codec_context.color_primaries = 1  # BT.709
    stream.codec_context.color_trc = stream.codec_context.color_range = 1


def _to_video(image, pts):
    frame = _pyav().VideoFrame.from_ndarray(image, format="rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
    frame.pts = pts
    return frame


def _turned(image, matrix):
    """Turn a picture by the corner (a, b, c, d) of its display matrix, in steps of 90 degrees.

    A pixel (x, y) is shown at (a x + c y, b x + d y).
    """
    a, b, c, d = np.sign(np.where(np.abs(matrix) > np.abs(matrix).max() / 2, matrix, 0))
    if b and c:
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: int(d or 1), :: int(a or 1)])


def _seconds(packet):
    stamp = packet.dts if packet.pts is None else packet.pts
    return None if stamp is None else float(stamp * packet.time_base)


def _pyav():
    try:
        import av
    except ImportError as error:
        raise ImportError(f'Videos need PyAV: pip install "fer_lib[vision]" ({error}).') from None
    av.logging.set_level(av.logging.PANIC)  # what matters is counted and said
    return av
