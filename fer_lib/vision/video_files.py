"""Video files and streams, read by PyAV: frames upright, at the file's own times."""

import dataclasses
import heapq
import math
import os
import re
import time
from pathlib import Path

import numpy as np

_TROUBLE = 32  # packets after an error within which a picture that does not come was lost by it
_TRIES = 100  # damaged packets in a row after which the file counts as ended
_MISSING = 0.5  # seconds that may lack at the end: containers round the times that they promise
_WAIT = (20.0, 20.0)  # seconds to open a stream, and for its next packet
# What FFmpeg would take for a video in a file and is none: lists of other files and addresses,
# which would be opened, and devices.
_LISTS = {"applehttp", "concat", "concatf", "dash", "hls", "image2", "imf", "lavfi", "rtp", "rtsp"}
_LISTS |= {"sap", "sdp", "tty", "vobsub", "webm_dash_manifest"}


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
        av = pyav()
        self.address = str(os.fspath(source))  # PyAV takes no kind of text but this
        self.name = name_of(source)
        stream = is_address(source)
        if not stream:
            _check_file(source)
        if stream:
            options = {"rtsp_transport": "tcp"} if self.address.startswith("rtsp") else {}
        else:
            known = ",".join(sorted(av.formats_available - _LISTS))
            options = {"protocol_whitelist": "file", "format_whitelist": known}
        try:
            self.container = av.open(
                self.address, options=options, timeout=_WAIT if stream else None
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
        self._loose = bool(self.container.format.flags & av.format.Flags.ts_discont.value)
        loose = self._loose or self.live
        self.origin = (self.container.start_time or 0) / 1e6 if loose else 0.0
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
            if self.live and not number:  # a stream may begin before the time that it promises
                self.origin = min(self.origin, stamp)
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
        due, last, step, trouble = [], None, 1 / self.rate, 0
        self._ends, self._count = {}, 0
        for packet in self._packets():
            if packet.stream is not self.stream:
                sound.append(packet)
                continue
            stamp = _seconds(packet)
            self._count += stamp is not None
            if stamp is not None and not packet.is_discard:
                heapq.heappush(due, stamp)
            trouble -= trouble > 0
            try:
                frames = packet.decode()
            except self.errors:
                trouble, frames = _TROUBLE, []
            for frame in frames:
                now = frame.time
                if now is None or (last is not None and now <= last):
                    now = 0.0 if last is None else last + step
                # Without an error a packet may hold no picture of its own, as in VP8.
                yield from ((s, None) for s in self._passed(due, last, now) if trouble)
                yield now, None if frame.is_corrupt else frame
                last = now
        yield from ((s, None) for s in self._passed(due, last, math.inf) if trouble)

    def _passed(self, due, last, now):
        """Take the times before one out of a heap, and return those of which no picture came."""
        passed = []
        while due and due[0] <= now:
            stamp = heapq.heappop(due)
            if (last is None or stamp > last) and stamp < now:
                passed.append(stamp)
        return passed

    def _packets(self):
        av, failures = pyav(), 0
        self.errors = (av.error.InvalidDataError, av.error.PatchWelcomeError)
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
            except self.errors:
                failures += 1
            except av.error.FFmpegError as error:
                raise ValueError(f"{self.name} cannot be read on: {error.strerror}.") from None

    def _promised(self):
        """Return the seconds that the file says it has, or `None` if it makes no promise."""
        if self._own_length:
            return float(self.stream.duration * self.stream.time_base)
        return self.container.duration / 1e6 if self.container.duration else None

    @property
    def _own_length(self):
        """Whether the picture has a length of its own; other formats give the whole file's."""
        return "mp4" in self.container.format.name and bool(self.stream.duration)

    def _lacking(self):
        seconds, end = self._promised(), self._ends.get(self.stream.index)
        if seconds is None or end is None or self._loose or self.live:
            return 0
        begin = float((self.stream.start_time or 0) * self.stream.time_base)
        rate = self._count / (end - begin) if end > begin else self.rate
        if self.container.format.name == "avi":  # of a cut one the length is guessed anew
            lacks = (self.stream.frames - self._count) / rate
        elif self._own_length:
            lacks = begin + seconds - end
        else:
            lacks = (self.container.start_time or 0) / 1e6 + seconds - max(self._ends.values())
        return round(lacks * rate) if lacks > _MISSING else 0


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
    matrix = (frame.side_data or {}).get("DISPLAYMATRIX")
    if matrix is None:
        return image
    return _turned(image, np.frombuffer(bytes(matrix), np.int32)[[0, 1, 3, 4]])


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


def pyav():
    """Return PyAV.

    Raises:
        ImportError: If it is missing; the message says how to install it.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError(f'Videos need PyAV: pip install -e ".[vision]" ({error}).') from None
    # It is silent. To set a level of its log would make decoding threads wait for Python's lock,
    # and hang when a video is closed.
    return av
