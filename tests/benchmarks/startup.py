"""Time what a user waits for before anything happens, each in a fresh process.

python tests/benchmarks/startup.py [--full] [--json FILE]
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing


def child(*words):
    """Return a function that runs Python with these words and waits for it."""
    command = [sys.executable, *map(str, words)]
    return lambda: subprocess.run(command, check=True, capture_output=True)


def wall_only(ways, rounds):
    """Time processes: their CPU time is not this process's, so both numbers are wall time."""
    times = timing.interleaved(ways, rounds)
    return {name: (wall, wall) for name, (wall, _) in times.items()}


def main():
    arguments = timing.options(__doc__, rounds={"type": int, "default": 5})
    from PIL import Image

    from fer_lib.data import synthetic
    from fer_lib.emotions import FER7
    from fer_lib.inference.formats import export
    from fer_lib.models import classifier
    from fer_lib.vision import synthetic_clip

    with tempfile.TemporaryDirectory() as folder:
        faces = synthetic.make_faces(70)
        model = classifier.build_classifier("mobilenet_v2", weights=None, image_size=96)
        files = export(model, folder, formats=["litert"], label_set=FER7)
        photo = Path(folder) / "face.png"
        Image.fromarray(faces.images[0]).save(photo)
        clip = Path(folder) / "clip.mp4"
        synthetic_clip.write_clip(clip, seconds=0.04)  # one frame
        table = Path(folder) / "table.csv"
        video = child("-m", "fer_lib", "video", clip, "--model", files["litert"], "--out", table)
        times = wall_only(
            {
                "import tensorflow, keras": child("-c", "import tensorflow, keras"),
                "python -c pass": child("-c", "pass"),
                "import fer_lib": child("-c", "import fer_lib"),
                "python -m fer_lib --help": child("-m", "fer_lib", "--help"),
                "python -m fer_lib predict face.png": child(
                    "-m", "fer_lib", "predict", photo, "--model", files["litert"]
                ),
                "python -m fer_lib video, 1 frame": lambda: (
                    table.unlink(missing_ok=True),  # a finished table is not made again
                    video(),
                ),
            },
            arguments.rounds,
        )
    goals = {
        "import fer_lib": "below 0.3 s",
        "python -m fer_lib --help": "below 0.5 s",
        "python -m fer_lib predict face.png": "below 1 s",
        "python -m fer_lib video, 1 frame": "below 1.5 s",
    }
    timing.finish(timing.rows_of("fresh process", times, notes=goals), arguments)


if __name__ == "__main__":
    main()
