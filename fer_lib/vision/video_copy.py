"""Videos written by PyAV: H.264 that plays everywhere, with the sound of the video they copy."""

import contextlib
from pathlib import Path

import numpy as np

from fer_lib import storage
from fer_lib.vision.video_files import pyav

# Ending of a marked copy → the sound that its players know; other sound becomes AAC.
COPIES = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "alac"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac"),
    ".mkv": None,  # any
}


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
        av = pyav()
        self.path, self.video, self._from = Path(path), video, start
        self._stack, self._pictures, self._failed = contextlib.ExitStack(), None, True
        storage.remove_remains(self.path)
        part = self._stack.enter_context(self._part())
        options = {} if self.path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
        self.container = av.open(str(part), "w", options=options)
        self._stack.callback(self._shut)
        self._sound, self._voice = None, None
        if video.sound is not None:
            self._open_sound()

    @property
    def start(self):
        """Time stamp in the video, in seconds, that is the copy's 0."""
        return self._from + self.video.origin

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
            for part in [*self._voice.resample(None), None]:
                self.container.mux(self._sound.encode(part))
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
        av, sound = pyav(), self.video.sound
        known = COPIES[self.path.suffix.lower()]
        if known is None or sound.codec_context.name in known:
            self._sound = self.container.add_stream_from_template(sound)
        else:
            rate = min(48000, sound.codec_context.sample_rate)
            layout = "mono" if sound.codec_context.channels == 1 else "stereo"
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
        with contextlib.suppress(self.video.errors):
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
    av = pyav()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        for number, picture in enumerate(pictures):
            if not number:
                _set_h264(stream, picture.shape)
            container.mux(stream.encode(_to_video(picture, number)))
        container.mux(stream.encode(None))


def _set_h264(stream, shape):
    stream.width, stream.height, stream.pix_fmt = shape[1], shape[0], "yuv420p"
    stream.options = {"preset": "veryfast", "crf": "20", "bf": "0"}
    stream.codec_context.colorspace = stream.codec_context.color_primaries = 1  # BT.709
    stream.codec_context.color_trc = stream.codec_context.color_range = 1


def _to_video(image, pts):
    frame = pyav().VideoFrame.from_ndarray(image, format="rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
    frame.pts = pts
    return frame
