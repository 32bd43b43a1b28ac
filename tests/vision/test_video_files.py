"""Files and streams: own times, turned pictures, true ends, damage, and copies with sound."""

import subprocess
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av", reason='needs pip install -e ".[vision]"')

from fer_lib.vision import video_files
from fer_lib.vision.video_copy import Copy
from fer_lib.vision.video_files import Video, name_of
from support import clips
from support.clips import write_clip
from support.rtsp import rtsp_server
from support.web_server import files_served

PICTURES = [clips.picture((20 + 4 * n, 40)) for n in range(30)]
UNEVEN = [0, 10, 20, 500, 540, 1900, 2000, *range(2100, 4400, 100)]


def frames(path, **options):
    video = Video(path)
    try:
        return list(video.frames(**options)), video
    finally:
        video.close()


def seconds(path, **options):
    return [frame.seconds for frame in frames(path, **options)[0]]


def copied(path, to, **options):
    """Copy a video picture by picture."""
    video = Video(path)
    copy = Copy(to, video, **options)
    for frame in video.frames(start=copy.start - video.origin):
        copy.write(frame, frame.image)
    copy.finish()
    video.close()
    return to


def remuxed(path, to, **options):
    """Copy the packets of a video into another format."""
    with av.open(str(path)) as source, av.open(str(to), "w", **options) as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    return to


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_times_are_the_file_s_own_and_a_copy_keeps_them(tmp_path, ending):
    path = tmp_path / f"clip{ending}"
    write_clip(path, PICTURES, codec="libx264", times=UNEVEN, offset=852, sound="aac")
    wanted = (np.array(UNEVEN) + 852) / 1000
    np.testing.assert_allclose(seconds(path), wanted, atol=1e-3)
    copy = copied(path, tmp_path / f"copy{ending}")
    np.testing.assert_allclose(seconds(copy), wanted, atol=1e-3)
    with av.open(str(copy)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    content = copy.read_bytes()
    assert ending == ".mkv" or content.find(b"moov") < content.find(b"mdat")
    pictures = [frame.image.astype(int) for frame in frames(copy)[0]]
    assert max(np.abs(a - b).mean() for a, b in zip(pictures, PICTURES, strict=True)) < 4


def sound_of(path):
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        packets = [p for p in container.demux(stream) if p.size and p.pts is not None]
        return stream.codec_context.name, [
            (round(1000 * float(p.pts * p.time_base)), bytes(p)) for p in packets
        ]


def test_sound_is_copied_as_it_is_or_becomes_what_players_know(tmp_path):
    path = write_clip(tmp_path / "a.mp4", PICTURES, codec="libx264", offset=200, sound="aac")
    assert sound_of(copied(path, tmp_path / "b.mp4")) == sound_of(path)
    path = write_clip(tmp_path / "c.mkv", PICTURES, sound="pcm_s16le")
    assert sound_of(copied(path, tmp_path / "d.mkv")) == sound_of(path)
    name, packets = sound_of(copied(path, tmp_path / "d.mp4"))
    assert name == "aac" and packets[-1][0] == pytest.approx(1100, abs=70)
    path = write_clip(tmp_path / "e.avi", PICTURES)
    copied(path, tmp_path / "f.mp4")  # none is no error


def test_a_copy_of_a_part_begins_at_its_start_with_its_sound(tmp_path):
    path = write_clip(tmp_path / "a.mp4", PICTURES, codec="libx264", sound="aac")
    copy = copied(path, tmp_path / "b.mp4", start=0.4)
    np.testing.assert_allclose(seconds(copy), np.arange(20) / 25, atol=1e-3)
    assert 0 <= sound_of(copy)[1][0][0] < 100


def test_a_clock_that_starts_anywhere_is_taken_off_and_kept_beside(tmp_path):
    path = write_clip(tmp_path / "a.mp4", PICTURES, codec="libx264", sound="aac", offset=5000)
    found, video = frames(remuxed(path, tmp_path / "a.ts"))
    assert found[0].timestamp > 4.9 and found[0].seconds == pytest.approx(0, abs=0.1)
    steps = np.diff([frame.seconds for frame in found])
    np.testing.assert_allclose(steps, 0.04, atol=1e-4)
    copy = copied(tmp_path / "a.ts", tmp_path / "b.mp4")
    np.testing.assert_allclose(seconds(copy), [f.seconds for f in found], atol=1e-3)


@pytest.mark.parametrize("turn", [0, 90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_or_mirrored_picture_is_upright(tmp_path, turn, mirrored):
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:24, :24], picture[-24:, :24], picture[:24, -24:] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
    )
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.set_display_rotation(turn, hflip=mirrored)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    ((frame,), _) = frames(tmp_path / "a.mp4")
    wanted = np.rot90(picture, turn // 90)
    wanted = wanted[:, ::-1] if mirrored else wanted
    assert frame.image.shape == wanted.shape and frame.image.flags.c_contiguous
    assert np.abs(frame.image.astype(int) - wanted).mean() < 8


@pytest.mark.parametrize("ending", [".mkv", ".ts", ".mov", ".mp4"])
@pytest.mark.parametrize("length", [30, 7])
def test_a_whole_file_raises_no_false_alarm(tmp_path, ending, length):
    # The sound is longer than the picture, so that a count by the length would be too large.
    path = write_clip(tmp_path / "a.mp4", PICTURES, codec="libx264", sound="aac")
    if length < 30:
        with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4"), "w") as target:
            streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
            count = 0
            for packet in source.demux():
                count += packet.stream.type == "video"
                if packet.dts is not None and (packet.stream.type == "audio" or count <= length):
                    packet.stream = streams[packet.stream_index]
                    target.mux(packet)
        path = tmp_path / "b.mp4"
    found, video = frames(remuxed(path, tmp_path / f"c{ending}"))
    assert video.missing == 0 and len(found) == length and not any(f.broken for f in found)


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".avi"])
def test_a_file_that_was_cut_off_says_so(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 255, (50, 120, 160, 3), np.uint8)
    path = write_clip(tmp_path / f"cut{ending}", list(noise))
    assert frames(path)[1].missing == 0
    if ending == ".mp4":
        path = remuxed(path, tmp_path / "b.mp4", options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found, video = frames(path)
    assert 15 < video.missing < 35 and len(found) + video.missing == pytest.approx(50, abs=2)


def test_damaged_frames_are_said_and_those_around_them_keep_their_numbers(tmp_path):
    noise = np.random.default_rng(0).integers(100, 140, (50, 240, 320, 3), np.uint8)
    path = write_clip(tmp_path / "damaged.mp4", list(noise), codec="libx264")
    content = bytearray(path.read_bytes())
    start = len(content) // 3
    content[start : start + 150_000] = np.random.default_rng(1).bytes(150_000)
    path.write_bytes(content)
    found, _ = frames(path)
    assert [frame.number for frame in found] == list(range(len(found))) and 40 < len(found) <= 50
    broken = [frame for frame in found if frame.broken]
    assert 0 < len(broken) < 40 and all(frame.image is None for frame in broken)
    assert not found[0].broken and not found[-1].broken
    assert (np.diff([frame.seconds for frame in found]) > 0).all()


def test_a_start_is_found_by_seeking_with_the_numbers_of_the_whole(tmp_path):
    pictures = [clips.picture((n, 40))[:160, :200] for n in range(100)]
    gop = {"g": "20", "bf": "3", "preset": "ultrafast"}
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=gop)
        stream.height, stream.width, stream.pix_fmt = 160, 200, "yuv420p"
        for picture in map(np.ascontiguousarray, pictures):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    whole, _ = frames(tmp_path / "a.mp4")
    for start in (0.04, 0.8, 2.345, 3.96):
        part, _ = frames(tmp_path / "a.mp4", start=start, every=3)
        wanted = [frame for frame in whole if frame.seconds >= start - 1e-6][::3]
        assert [(f.number, f.seconds) for f in part] == [(f.number, f.seconds) for f in wanted]
        assert all((a.image == b.image).all() for a, b in zip(part, wanted, strict=True))


def test_an_odd_size_and_no_sound_are_copied(tmp_path):
    pictures = [np.ascontiguousarray(picture[:151, :201]) for picture in PICTURES[:5]]
    path = write_clip(tmp_path / "a.mkv", pictures)
    assert frames(copied(path, tmp_path / "b.mp4"))[0][0].image.shape == (152, 202, 3)


@pytest.mark.parametrize("free", [0, 60, 150, 290])
def test_a_full_disk_is_an_error_and_the_old_file_stays(tmp_path, free):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        noise = np.random.default_rng(0).integers(0, 255, (20, 240, 320, 3), np.uint8)
        path = write_clip(tmp_path / "a.mkv", list(noise), sound="pcm_s16le")
        (disk / "marked.mp4").write_bytes(b"old")
        (disk / "filler").write_bytes(bytes((1 << 20) - 8192 - 1024 * free))
        video = Video(path)
        with pytest.raises(OSError, match="No space left"):
            copy = Copy(disk / "marked.mp4", video)
            try:
                for frame in video.frames():
                    copy.write(frame, frame.image)
                copy.finish()
            finally:
                copy.drop()
        video.close()
        assert (disk / "marked.mp4").read_bytes() == b"old"
        assert sorted(p.name for p in disk.iterdir()) == ["filler", "marked.mp4"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_an_address_is_read_as_a_file_is(tmp_path):
    write_clip(tmp_path / "a.mp4", PICTURES, codec="libx264")

    with files_served(tmp_path) as site:
        address = f"{site}/a.mp4"
        assert seconds(address) == seconds(tmp_path / "a.mp4")
        assert len(seconds(address, start=0.4)) == 20
        with pytest.raises(ValueError, match=r"gone\.mp4 cannot be read: "):
            Video(address.replace("a.mp4", "gone.mp4"))


def test_a_camera_s_stream_is_read_as_a_file_is(tmp_path):
    clip = write_clip(tmp_path / "a.ts", PICTURES[:12], codec="libx264")
    with rtsp_server(clip, user="me:secret") as address:
        seen, video = frames(address)
        assert video.live and "secret" not in video.name
        assert [frame.number for frame in seen] == list(range(12))
        assert [frame.seconds for frame in seen] == pytest.approx(seconds(clip), abs=1e-3)
        assert not any(frame.broken for frame in seen)
        with pytest.raises(ValueError, match=r"/clip cannot be read: .*401 Unauthorized"):
            Video(address.replace("me:secret@", ""))


def test_a_password_is_in_no_table():
    assert name_of("rtsp://me:secret@camera/1") == "rtsp://camera/1"
    assert name_of("a/b@c.mp4") == "a/b@c.mp4"
    assert "secret" not in str(video_files.identity("rtsp://me:secret@camera/1"))


def test_what_holds_no_picture_is_said(tmp_path):
    with av.open(str(tmp_path / "tone.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate, frame.time_base = 16000, Fraction(1, 16000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match="there is no picture in it"):
        Video(tmp_path / "tone.mp4")
    with pytest.raises(ValueError, match="it is no file"):
        Video(tmp_path)


def test_a_name_of_a_kind_of_text_is_a_path(tmp_path):
    """Such as gradio's names of uploads."""
    kind = type("Name", (str,), {})
    write_clip(tmp_path / "clip.mp4", PICTURES)
    found, _ = frames(kind(tmp_path / "clip.mp4"))
    assert len(found) == len(PICTURES)
