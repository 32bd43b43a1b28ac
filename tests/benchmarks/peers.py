"""Compare inference with the models of other projects, on the same faces.

python tests/benchmarks/peers.py [--full] [--json FILE] [--run FOLDER]

Needs the peers' files in the folder `peers` of the one that FER_SHARED names, or beside the
repository. Each peer is called as its own project calls it, `model.predict` on one face, and at
its best, `predict_on_batch` on 64. Ours is MobileNetV2 at 48 px as an int8 file, of random weights
or, with `--run`, of a finished run. With `--full` and FER-2013 at hand each one is also scored on
PublicTest; the peers' own training rows are not known to us beyond what their authors say.
"""

import functools
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing

SHARED = Path(
    os.environ.get("FER_SHARED", Path(__file__).resolve().parent.parent.parent.parent / "shared")
)
FER7 = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FACE_API = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
# File → size, channels, preparation, label order.
PEERS = {
    "fer2013_mini_XCEPTION.102-0.66.hdf5": (64, 1, lambda x: x / 255.0 * 2 - 1, FER7),
    "fer2013_big_XCEPTION.54-0.66.hdf5": (64, 1, lambda x: x / 255.0 * 2 - 1, FER7),
    "face_api_expression.keras": (112, 3, lambda x: x, FACE_API),
}


def prepared(faces, size, channels, prepare):
    """Return faces as a peer's model wants them."""
    import numpy as np
    from PIL import Image

    resized = [np.asarray(Image.fromarray(face).resize((size, size))) for face in faces]
    batch = np.stack(resized)[..., None].astype("float32")
    return prepare(np.repeat(batch, channels, axis=-1))


def peer_ways(faces, folder):
    """Return `{name: function of faces, predicting probabilities in FER-7's order}`."""
    import keras
    import numpy as np

    def way(model, settings):
        size, channels, prepare, labels = settings
        order = [labels.index(emotion) for emotion in FER7]

        def predict(faces):
            batch = prepared(faces, size, channels, prepare)
            call = model.predict_on_batch if len(batch) > 1 else model.predict
            arguments = {} if len(batch) > 1 else {"verbose": 0}
            return np.asarray(call(batch, **arguments))[:, order]

        return predict

    return {
        name: way(keras.models.load_model(folder / name, compile=False), settings)
        for name, settings in PEERS.items()
    }


def scored(name, predict, faces):
    """Return a row with the accuracy on labelled faces, its interval and macro-F1."""
    import numpy as np

    from fer_lib import metrics

    parts = [faces.images[start : start + 256] for start in range(0, len(faces), 256)]
    scores = metrics.score(
        faces.classes, np.concatenate([predict(part) for part in parts]), faces.label_set
    )
    accuracy, f1 = scores["accuracy"], scores["macro_f1"]
    note = f"95 % interval [{accuracy['low']:.3f}, {accuracy['high']:.3f}]; macro-F1 "
    note += f"{f1['value']:.3f} [{f1['low']:.3f}, {f1['high']:.3f}]; n = {len(faces):,}"
    return timing.number(faces.name, name, accuracy["value"], "accuracy", note=note)


def main():
    arguments = timing.options(
        __doc__,
        rounds={"type": int, "default": 7},
        run={"type": Path, "help": "a finished run instead of random weights"},
    )
    if not (SHARED / "peers").is_dir():
        print(f"skipped: no peers' models in {SHARED / 'peers'} (FER_SHARED names the folder)")
        timing.finish([], arguments)
        return
    from fer_lib import datasets, models, runs, synthetic
    from fer_lib.export import export, load_predictor

    faces = synthetic.make_faces(140)
    subject = (
        runs.load_run(arguments.run)
        if arguments.run
        else models.build_classifier("mobilenet_v2", weights=None, image_size=48)
    )
    with tempfile.TemporaryDirectory() as folder:
        files = export(
            subject,
            folder,
            formats=["litert_int8"],
            calibration=None if arguments.run else faces,
            label_set=None if arguments.run else FER7,
        )
        ways = peer_ways(faces, SHARED / "peers") | {
            "ours, int8": load_predictor(files["litert_int8"]).predict
        }
        rows = []
        for count in (1, 64):
            batch = faces.images[:count]
            times = timing.interleaved(
                {name: functools.partial(way, batch) for name, way in ways.items()},
                arguments.rounds,
            )
            case = f"{count} face{'s' * (count > 1)}"
            rows += timing.rows_of(case, times, unit="ms", scale=1e3)
        if arguments.full and datasets.resolve_auto()[0] == "fer2013":
            test = datasets.load_dataset("fer2013")["test"]
            rows += [
                scored(name, way, test)
                for name, way in ways.items()
                if name in PEERS or arguments.run
            ]
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
