"""Compare inference with the models of other projects, on the same faces.

python tests/benchmarks/peers.py [--full] [--json FILE] [--model NAME]

Needs the peers' files in the folder that FER_PEERS names, or in `peers` of the one that
FER_SHARED names. Each peer is called as its own project calls it, `model.predict` on one face,
and at its best, `predict_on_batch` on 64; and once more converted to LiteRT, as ours is. Ours is
the shipped model or, with `--model`, another. With `--full` and FER-2013 at hand each one is also
scored on PublicTest; the peers' own training rows are not known to us beyond what their authors
say.
"""

import functools
import os
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

    from fer_lib.emotions import FER7, translate
    from fer_lib.inference import peers

    def way(peer):
        order = translate(FER7, peer.label_set)

        def predict(faces):
            if len(faces) > 1:
                return peer.predict(faces)[:, order]
            return np.asarray(peer.model.predict(peer.prepare(faces), verbose=0))[:, order]

        return predict

    return {name: way(peer) for name, peer in peers.find_peers(folder).items()}


def litert_ways(folder):
    """Return the same functions with the peers' models converted to LiteRT, on one thread.

    Like is compared with like: ours answers by LiteRT as well.
    """
    import numpy as np
    import tensorflow as tf

    from fer_lib.emotions import FER7, translate
    from fer_lib.inference import litert, peers

    def way(peer):
        order = translate(FER7, peer.label_set)
        shape = np.shape(peer.prepare(np.zeros((1, 48, 48), np.uint8)))[1:]
        trained = [np.asarray(value) for value in peer.model.trainable_variables]
        others = [np.asarray(value) for value in peer.model.non_trainable_variables]
        traced = tf.function(
            lambda face: peer.model.stateless_call(trained, others, face, training=False)[0],
            input_signature=[tf.TensorSpec((None, *shape), tf.float32)],
        )
        network = litert.open_network(litert.convert(traced))
        return lambda faces: network(np.asarray(peer.prepare(faces), np.float32))[:, order]

    return {f"{name}, LiteRT": way(peer) for name, peer in peers.find_peers(folder).items()}


def scored(name, predict, faces):
    """Return a row with the accuracy on labelled faces, its interval and macro-F1."""
    import numpy as np

    from fer_lib.evaluation import metrics

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
        model={"default": "default", "help": "name, run or file of ours"},
    )
    if not FOLDER.is_dir():
        print(f"skipped: no peers' models in {FOLDER} (FER_PEERS names the folder)")
        timing.finish([], arguments)
        return
    from fer_lib.data import catalogue, synthetic
    from fer_lib.inference.formats import load_predictor

    faces = synthetic.make_faces(140).images
    ways = peer_ways(FOLDER) | litert_ways(FOLDER)
    one_thread = load_predictor(arguments.model, threads=1)
    ways |= {"ours, one thread": one_thread.predict}
    ways |= {"ours": load_predictor(arguments.model).predict}
    rows = []
    for count in (1, 64):
        batch = faces[:count]
        times = timing.interleaved(
            {name: functools.partial(way, batch) for name, way in ways.items()}, arguments.rounds
        )
        case = f"{count} face{'s' * (count > 1)}"
        notes = {"ours": str(arguments.model)}
        rows += timing.rows_of(case, times, unit="ms", scale=1e3, notes=notes)
    if arguments.full and catalogue.resolve_auto()[0] == "fer2013":
        test = catalogue.load_dataset("fer2013")["test"]
        rows += [scored(name, way, test) for name, way in ways.items()]
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
