"""Input that nobody should believe: files that lie, burst, link, or hold code.

`CORPUS` says what each is and through which doors it comes. `Doors` runs a door in a process of
its own, and tells what was said, and how much time and memory it took.
"""

import base64
import gzip
import io
import json
import marshal
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import traceback
import typing
import zipfile
import zlib
from pathlib import Path

HUGE = 3 << 30  # bytes
RUN_EXPERIMENT = Path(__file__).parents[2] / "notebooks" / "run_experiment.ipynb"


class Bad(typing.NamedTuple):
    """A kind of bad input.

    Args:
        doors: Names of functions below that take it.
        write: Function of a folder that writes it there and returns what the door is given.
    """

    doors: tuple
    write: typing.Callable


# Pictures.


def png(width, height, rows=b"", more=b""):
    """Return a grey PNG of one bit a pixel; `rows` are its raw bytes, `more` further chunks."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"")


def write_large_png(folder):
    """168 megapixels in 20 kB."""
    side = 12962
    return _write(folder / "large.png", png(side, side, bytes((side // 8 + 2) * side)))


def write_lying_png(folder):
    """A header of four thousand million pixels a side."""
    return _write(folder / "lying.png", png(2**31 - 1, 2**31 - 1))


def write_svg(folder):
    """A picture that names another file."""
    text = '<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg><text>&x;</text></svg>'
    return _write(folder / "entity.png", text.encode())


def write_eps(folder):
    """A picture that is a program."""
    return _write(folder / "program.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n(witness) (w) file quit\n")


def write_endless_link(folder):
    """A link to what never ends."""
    (folder / "endless.png").symlink_to("/dev/zero")
    return folder / "endless.png"


def write_pipe(folder):
    """A pipe that nobody writes to."""
    os.mkfifo(folder / "pipe.png")
    return folder / "pipe.png"


def write_pickle(folder):
    """Code under a picture's name."""
    return _write(folder / "code.png", _code(folder))


# Videos.


def write_playlist(folder):
    """A list of other files under a video's name."""
    return _write(folder / "list.mp4", b"ffconcat version 1.0\nfile secret.ts\n")


def write_hls(folder):
    """A playlist of addresses."""
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    return _write(folder / "list.m3u8", text.encode())


def write_text_video(folder):
    """A text, which FFmpeg would show as a screen."""
    return _write(folder / "text.txt", b"hello\n" * 100)


# Data.


def write_lying_zip(folder):
    """A member that unpacks to more than it says."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("angry/a.png", bytes(300 << 20))
    data = content.getvalue().replace(struct.pack("<I", 300 << 20), struct.pack("<I", 4000))
    return _write(folder / "lying.zip", data)


def write_bomb_zip(folder):
    """A table of three thousand million zeros."""
    return _packed(folder / "bomb.zip", "fer2013.csv", 400 << 20)


def write_bomb_picture_zip(folder):
    """A picture of many zeros."""
    return _packed(folder / "pictures.zip", "train/angry/a.png", 400 << 20)


def write_zip_outside(folder):
    """A member that lies outside."""
    with zipfile.ZipFile(folder / "outside.zip", "w") as archive:
        archive.writestr("../../angry/a.png", png(8, 8, bytes(16)))
    return folder / "outside.zip"


def write_zip_link(folder):
    """A member that is a link."""
    member = zipfile.ZipInfo("angry/a.png")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "link.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    return folder / "link.zip"


def write_tar_link(folder):
    """A tar file with a link to a folder, and a file through it."""
    with tarfile.open(folder / "link.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("angry")
        link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
        archive.addfile(link)
        member = tarfile.TarInfo("angry/fer_lib_was_here.png")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    return folder / "link.tar.gz"


def write_tar_bomb(folder):
    """A tar file of many zeros."""
    with tarfile.open(folder / "bomb.tar.gz", "w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("train/angry/a.png")
        member.size = 300 << 20
        archive.addfile(member, _Zeros())
    return folder / "bomb.tar.gz"


def write_gzip_bomb(folder):
    """A table, packed, that is one line without an end."""
    with gzip.open(folder / "fer2013.csv.gz", "wb", compresslevel=1) as file:
        file.write(b"emotion,pixels,Usage\n0,")
        for _ in range(400):
            file.write(b"1" * (1 << 20))
    return folder / "fer2013.csv.gz"


def write_npy_code(folder):
    """An array of objects that run code."""
    import numpy as np

    np.save(folder / "images.npy", np.array([_Code(folder)], dtype=object), allow_pickle=True)
    np.save(folder / "labels.npy", np.zeros(1, int))
    (folder / "witness").unlink(missing_ok=True)
    return folder


def write_npz_lie(folder):
    """An array whose header promises more than there is."""
    import numpy as np

    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 48, 48)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(folder / "lie.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(100))
        archive.writestr("labels.npy", header.getvalue() + bytes(100))
    return folder / "lie.npz"


def write_npz_bomb(folder):
    """An array of many zeros in little room."""
    import numpy as np

    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (400 << 20,)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("images.npy", "labels.npy"):
            with archive.open(name, "w") as file:
                file.write(header.getvalue())
                for _ in range(400):
                    file.write(bytes(1 << 20))
    return folder / "bomb.npz"


# Models.


def write_lambda(folder):
    """A Keras model with code in a Lambda layer."""
    code = compile(f"open({str(folder / 'witness')!r}, 'w')", "x", "eval")
    text = base64.b64encode(marshal.dumps(code)).decode()
    function = {"class_name": "__lambda__", "config": {"code": text, "defaults": None}}
    layers = [
        _layer("InputLayer", {"batch_shape": [None, 48, 48], "dtype": "uint8", "name": "face"}),
        _layer("Lambda", {"name": "code", "function": function, "arguments": {}}),
    ]
    return _keras(folder, {"name": "model", "trainable": True, "layers": layers}, b"")


def write_keras_bomb(folder):
    """A Keras model whose weights unpack to many zeros."""
    layers = [_layer("InputLayer", {"batch_shape": [None, 48, 48], "name": "face"})]
    return _keras(folder, {"name": "model", "trainable": True, "layers": layers}, bytes(300 << 20))


def write_h5(folder):
    """A model of the old form, in which code is text."""
    return _write(folder / "model.h5", b"\x89HDF\r\n\x1a\n" + bytes(100))


def write_pickled_model(folder):
    """Code under a model's name."""
    return _write(folder / "model.pkl", _code(folder))


def write_false_litert(folder):
    """Zeros under a model's name, with a description that does not fit."""
    path = _write(folder / "model.tflite", bytes(4000))
    _describe(path, {"label_set": ["a", "b"], "face_size": [48, 48], "sha256": "0" * 64})
    return path


def write_deep_description(folder):
    """A description that is a hundred thousand lists deep."""
    path = _write(folder / "deep.tflite", bytes(4000))
    _write(folder / "deep.tflite.json", b"[" * 100_000)
    return path


# Parameters.


def write_yaml_code(folder):
    """YAML with a tag that runs a command."""
    text = f'dataset: !!python/object/apply:os.system ["touch {folder / "witness"}"]\n'
    return _write(folder / "code.yaml", text.encode())


def write_yaml_laughs(folder):
    """YAML of a kilobyte whose value is a thousand million words."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return _write(folder / "laughs.yaml", "\n".join([*lines, "dataset: *a9", ""]).encode())


def write_yaml_value(folder):
    """The same, as the value of a known parameter."""
    lines = ["dataset:"] + [f"  - &a0 [{', '.join(['lol'] * 10)}]"]
    lines += [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return _write(folder / "value.yaml", "\n".join([*lines, ""]).encode())


def write_yaml_deep(folder):
    """YAML that is a hundred thousand lists deep."""
    return _write(folder / "deep.yaml", b"dataset: " + b"[" * 20_000)


def write_word_code(folder):
    """A parameter that is code."""
    return f"seed=__import__('os').system('touch {folder / 'witness'}')"


def write_word_control(folder):
    """A parameter with a control character."""
    return "epochs=\x1b[2J3"


def write_word_huge(folder):
    """A number of more digits than there are atoms."""
    return "epochs=" + "9" * 4000


CORPUS = {
    "large png": Bad(("photo", "photo line", "photo page"), write_large_png),
    "lying png": Bad(("photo", "photo line", "photo page"), write_lying_png),
    "svg": Bad(("photo", "photo line", "photo page"), write_svg),
    "eps": Bad(("photo", "photo line", "photo page"), write_eps),
    "endless link": Bad(("photo", "photo line"), write_endless_link),
    "pipe": Bad(("photo", "photo line"), write_pipe),
    "pickle": Bad(("photo", "photo line", "photo page"), write_pickle),
    "playlist": Bad(("video", "video line"), write_playlist),
    "hls": Bad(("video", "video line"), write_hls),
    "text video": Bad(("video", "video line"), write_text_video),
    "lying zip": Bad(("data", "data line", "data notebook"), write_lying_zip),
    "bomb zip": Bad(("data", "data line", "data notebook"), write_bomb_zip),
    "bomb of a picture": Bad(("data", "data line", "data notebook"), write_bomb_picture_zip),
    "zip outside": Bad(("data", "data line", "data notebook"), write_zip_outside),
    "zip link": Bad(("data", "data line", "data notebook"), write_zip_link),
    "tar link": Bad(("data", "data line", "data notebook"), write_tar_link),
    "tar bomb": Bad(("data", "data line", "data notebook"), write_tar_bomb),
    "gzip bomb": Bad(("data", "data line", "data notebook"), write_gzip_bomb),
    "npy code": Bad(("data", "data line", "data notebook"), write_npy_code),
    "npz lie": Bad(("data", "data line", "data notebook"), write_npz_lie),
    "npz bomb": Bad(("data", "data line", "data notebook"), write_npz_bomb),
    "lambda": Bad(("model", "model line"), write_lambda),
    "keras bomb": Bad(("model", "model line"), write_keras_bomb),
    "h5": Bad(("model", "model line"), write_h5),
    "pickled model": Bad(("model", "model line"), write_pickled_model),
    "false litert": Bad(("model", "model line"), write_false_litert),
    "deep description": Bad(("model", "model line"), write_deep_description),
    "yaml code": Bad(("yaml", "yaml line", "grid"), write_yaml_code),
    "yaml laughs": Bad(("yaml", "yaml line", "grid"), write_yaml_laughs),
    "yaml value": Bad(("yaml", "yaml line"), write_yaml_value),
    "yaml deep": Bad(("yaml", "yaml line", "grid"), write_yaml_deep),
    "word of code": Bad(("word", "word line", "word notebook"), write_word_code),
    "control character": Bad(("word", "word line", "word notebook"), write_word_control),
    "huge number": Bad(("word", "word line", "word notebook"), write_word_huge),
}


# Doors: each raises or returns what a user is told.


def _line(*words):
    from fer_lib.__main__ import main

    status = main(list(map(str, words)))
    if not status:
        raise AssertionError(f"{words} was taken")
    return ""


def _photo(path):
    from fer_lib import recognise

    table = recognise(path, detector="haar")
    if table.attrs["read"]:
        raise AssertionError(f"{path} was read")
    return table["note"].iloc[0]


def _photo_page(path):
    from fer_lib.inference.predictor import load_predictor
    from fer_lib.vision import page

    page.look_at_photo(path, load_predictor("default"), Path(path).parent / "page", "haar")


def _video(path):
    from fer_lib.vision.video import predict_video

    predict_video(path, detector="haar", progress=False)


def _data(path):
    from fer_lib.data.catalogue import load_dataset

    load_dataset(path)


def _model(path):
    import numpy as np

    from fer_lib.inference.predictor import load_predictor

    if Path(path).suffix == ".keras":
        (Path(path).parent / "scores.json").write_text('{"test": {"per_class": {"a": 1}}}')
    load_predictor(path).predict(np.zeros((1, 48, 48), np.uint8))


def _model_line(path):
    if Path(path).suffix == ".keras":
        (Path(path).parent / "scores.json").write_text('{"test": {"per_class": {"a": 1}}}')
    photo = _write(Path(path).parent / "photo.png", png(48, 48, bytes(7 * 48)))
    return _line("predict", photo, "--detector", "haar", "--model", path)


def _yaml(path):
    from fer_lib.experiments.experiment import from_words

    from_words([], [path])


def _grid(path):
    from fer_lib.sweeps.grid import read_grid

    read_grid([path])


def _word(word):
    from fer_lib.experiments.experiment import from_words

    from_words([word])


def _notebook(name, value):
    """Give the notebook a parameter, as papermill does, and run it to where its data is there."""
    from papermill.cli import _resolve_type
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    given, known = load_notebook_node(str(RUN_EXPERIMENT)), {"__name__": "__main__"}
    given = parameterize_notebook(given, {name: _resolve_type(str(value))})
    for cell in given.cells:
        if cell.cell_type == "code":
            exec(cell.source, known)
            if "data" in known:
                raise AssertionError(f"{name}={value} was taken")


DOORS = {
    "photo": _photo,
    "photo line": lambda path: _line("predict", path, "--detector", "haar"),
    "photo page": _photo_page,
    "video": _video,
    "video line": lambda path: _line("video", path, "--detector", "haar"),
    "data": _data,
    "data line": lambda path: _line("evaluate", "default", path),
    "data notebook": lambda path: _notebook("dataset", path),
    "model": _model,
    "model line": _model_line,
    "yaml": _yaml,
    "yaml line": lambda path: _line("train", "-f", path),
    "grid": _grid,
    "word": _word,
    "word line": lambda word: _line("train", word),
    "word notebook": lambda word: _notebook(*word.split("=", 1)),
}


# What the doors need that lead to Keras.
KERAS = ("keras", "matplotlib.pyplot", "papermill.cli", "fer_lib.experiments.environment",
         "fer_lib.experiments.runner", "fer_lib.experiments.story")  # fmt: skip


class Doors:
    """A process that has what the doors import, and forks one for each try."""

    def __init__(self, keras=False):
        words = [sys.executable, __file__, *["keras"] * keras]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self):
        """End it."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def try_door(self, door, path):
        """Return `(sentence, seconds of work, megabytes over the start)`."""
        self._process.stdin.write(json.dumps([door, str(path)]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _serve(answers):
    """Answer the lines of the standard input."""
    begun = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    for line in sys.stdin:
        door, path = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            _one(door, path)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read().decode("utf-8", "replace")
        _, status, used = os.wait4(pid, 0)
        if os.WIFSIGNALED(status):
            said += f"\nended by signal {os.WTERMSIG(status)}"
        megabytes = (used.ru_maxrss * 1024 - begun) / 1e6
        print(
            json.dumps([said, used.ru_utime + used.ru_stime, megabytes]), file=answers, flush=True
        )


def _one(door, path):
    # What hangs is ended, and said to be.
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    try:
        said = DOORS[door](path)
        print(said, flush=True)
    except (ValueError, OSError, ImportError, RuntimeError, MemoryError) as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class _Code:
    """Writes a witness when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return open, (str(self.folder / "witness"), "w")


class _Zeros:
    def read(self, size):
        return bytes(size)


def _code(folder):
    return pickle.dumps(_Code(folder))


def _write(path, content):
    path.write_bytes(content)
    return path


def _describe(path, about):
    path.with_name(path.name + ".json").write_text(json.dumps(about))


def _packed(path, name, size):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(name, "w") as file:
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    return path


def _layer(kind, config):
    about = {"module": "keras.layers", "class_name": kind, "config": config}
    return about | {"registered_name": None}


def _keras(folder, config, weights):
    about = {"module": "keras", "class_name": "Sequential", "config": config}
    about |= {"registered_name": None, "build_config": {"input_shape": [None, 48, 48]}}
    with zipfile.ZipFile(folder / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.13.0"}))
        archive.writestr("config.json", json.dumps(about))
        archive.writestr("model.weights.h5", weights)
    return folder / "model.keras"


if __name__ == "__main__":
    import importlib

    answers = os.fdopen(os.dup(1), "w")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in ("cv2", "av", "pandas", "ai_edge_litert.interpreter", "fer_lib.vision.video",
                 "fer_lib.data.catalogue", "fer_lib.__main__", "fer_lib.vision.photos",
                 *(KERAS if "keras" in sys.argv else [])):  # fmt: skip
        importlib.import_module(name)
    _serve(answers)
