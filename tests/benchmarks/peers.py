"""Compare inference with the models of other projects, on the same faces.

python tests/benchmarks/peers.py [--full] [--json FILE] [--run FOLDER]

Needs the peers' files in the folder that FER_PEERS names, or in `peers` of the one that FER_SHARED
names. Each peer is called as its own project calls it, `model.predict` on one face, and at
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
FOLDER = Path(os.environ.get("FER_PEERS", SHARED / "peers"))


def peer_ways(folder):
    """Return `{name: function of faces, predicting probabilities in FER-7's order}`."""
    import numpy as np

    from fer_lib import peers
    from fer_lib.emotions import FER7, translate

    def way(peer):
        order = translate(FER7, peer.label_set)

        def predict(faces):
            if len(faces) > 1:
                return peer.predict(faces)[:, order]
            return np.asarray(peer.model.predict(peer.prepare(faces), verbose=0))[:, order]

        return predict

    return {name: way(peer) for name, peer in peers.find_peers(folder).items()}


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
    if not FOLDER.is_dir():
        print(f"skipped: no peers' models in {FOLDER} (FER_PEERS names the folder)")
        timing.finish([], arguments)
        return
    from fer_lib import datasets, models, runs, synthetic
    from fer_lib.emotions import FER7
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
        ours = {"ours, int8": load_predictor(files["litert_int8"]).predict}
        ways = peer_ways(FOLDER) | ours
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
                if name not in ours or arguments.run
            ]
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
