"""Time a whole job, from the file on disk to test scores, against the plain notebook recipe.

python tests/benchmarks/whole_job.py [--full] [--json FILE]

The recipe: float64 RGB arrays divided by 255, a frozen MobileNetV2, Flatten, two Dense(128), ten
epochs of `model.fit` in batches of 32 at 48 px. Ours: ten epochs of the head on features computed
once from one view of each face (augmentation "none"). Each is a process of its own, so all imports
count. With `--full` on FER-2013, once each, scored on its
test faces; otherwise on a small set of synthetic faces, whose scores say nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing

EPOCHS = 10


def load(dataset):
    from fer_lib.data import catalogue

    sizes = {"train": 1400, "validation": 140, "test": 280} if dataset == "synthetic" else {}
    return catalogue.load_dataset(dataset, **sizes)


def notebook(dataset, weights):
    """Train and score as the plain notebook does; returns accuracy and the number of faces."""
    import keras
    import numpy as np

    from fer_lib.models import classifier
    from fer_lib.models.weights import find_weights

    data = load(dataset)
    arrays = {
        split: np.repeat(faces.images[..., None], 3, axis=-1).astype("float64") / 255
        for split, faces in data.items()
    }
    labels = {split: keras.utils.to_categorical(faces.classes, 7) for split, faces in data.items()}
    base = keras.applications.MobileNetV2(input_shape=(48, 48, 3), include_top=False, weights=None)
    application = classifier.BACKBONES["mobilenet_v2"].application
    start = find_weights("mobilenet_v2", application, 1.0, weights)
    if start.values:
        base.set_weights(start.values)
    base.trainable = False
    layers = keras.layers
    model = keras.Sequential(
        [
            base,
            layers.Flatten(),
            layers.Dense(128, "relu"),
            layers.Dense(128, "relu"),
            layers.Dense(7, "softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        arrays["train"],
        labels["train"],
        validation_data=(arrays["validation"], labels["validation"]),
        batch_size=32,
        epochs=EPOCHS,
        verbose=0,
    )
    return model.evaluate(arrays["test"], labels["test"], verbose=0)[1], len(labels["test"])


def ours(dataset, weights):
    """Train and score one experiment of fer_lib; returns accuracy and the number of faces."""
    from fer_lib.experiments import runner
    from fer_lib.experiments.experiment import Experiment

    with tempfile.TemporaryDirectory() as folder:
        this = Experiment(
            dataset=dataset,
            weights=weights,
            unfreeze="top",
            augmentation="none",
            epochs=EPOCHS,
            results_dir=folder,
        )
        test = runner.run(this, load(dataset)).scores["test"]
    return test["accuracy"]["value"], test["n"]


WAYS = {"plain notebook": notebook, "ours": ours}


def timed(way, dataset, weights):
    """Return seconds of a process from its start, accuracy and number of test faces."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--one", way, dataset, str(weights)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - started, *json.loads(done.stdout.splitlines()[-1])


def main():
    if sys.argv[1:2] == ["--one"]:
        way, dataset, weights = sys.argv[2:]
        print(json.dumps(WAYS[way](dataset, None if weights == "None" else weights)))
        return
    arguments = timing.options(__doc__)
    from fer_lib.data import catalogue
    from fer_lib.models.weights import resolve_auto

    dataset = catalogue.resolve_auto()[0] if arguments.full else "synthetic"
    weights = resolve_auto("mobilenet_v2", "MobileNetV2", 1.0)[0]
    results = {way: timed(way, dataset, weights) for way in WAYS}
    case = f"head only, 48 px, {EPOCHS} epochs, {dataset}, from {weights or 'a random start'}"
    first = results["plain notebook"][0]
    rows = [
        timing.number(
            case,
            way,
            seconds,
            "s",
            ratio=first / seconds,
            note=f"test accuracy {value:.3f}, n = {n:,}",
        )
        for way, (seconds, value, n) in results.items()
    ]
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
