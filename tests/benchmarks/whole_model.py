"""Time training of the whole network against the plain notebook way, and what else was tried.

python tests/benchmarks/whole_model.py [--full] [--json FILE]

MobileNetV2 with everything trained, faces per second of whole epochs. The plain notebook way:
float RGB arrays at the network's size divided by 255, `ImageDataGenerator` with flips, rotations,
shifts and zooms, batches of 32. Ours: uint8 grey faces, one resampling at 48 x 48 inside the
model, batches of 64. The alternatives change one thing of ours; each backend and setting runs in
a process of its own, the ways of one process take turns.
"""

import json
import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing

AUGMENTATION = {
    "horizontal_flip": True,
    "rotation_range": 10,
    "width_shift_range": 0.08,
    "height_shift_range": 0.08,
    "zoom_range": 0.1,
}
# Name → (environment, settings of `ours`): everything else tried, one change at a time.
ALTERNATIVES = {
    "oneDNN off": ({"TF_ENABLE_ONEDNN_OPTS": "0"}, {}),
    # XLA can not compile the resampling on a CPU.
    "without augmentation": ({}, {"augmentation": "none"}),
    "without augmentation, jit_compile": ({}, {"augmentation": "none", "jit_compile": True}),
    "bfloat16": ({}, {"policy": "mixed_bfloat16"}),
    "batch of 128": ({}, {"batch": 128}),
    "batch of 256": ({}, {"batch": 256}),
    "16 steps a call": ({}, {"steps_per_call": 16}),
    "JAX": ({"KERAS_BACKEND": "jax"}, {}),
}


def notebook_way(images, targets, image_size):
    """Return a function that trains an epoch as most public notebooks do."""
    import keras
    import numpy as np
    from keras.src.legacy.preprocessing.image import ImageDataGenerator
    from PIL import Image

    side = (image_size, image_size)
    enlarged = np.stack([np.asarray(Image.fromarray(face).resize(side)) for face in images])
    inputs = np.repeat(enlarged[..., None], 3, axis=-1).astype("float32") / 255
    base = keras.applications.MobileNetV2(input_shape=(*side, 3), include_top=False, weights=None)
    model = keras.Sequential(
        [base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(7, "softmax")]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    batches = ImageDataGenerator(**AUGMENTATION).flow(inputs, targets, batch_size=32, seed=0)
    return lambda: model.fit(batches, epochs=1, verbose=0)


def ours(
    images, targets, image_size, *, augmentation="standard", batch=64, policy="float32",
    jit_compile="auto", steps_per_call=1,
):  # fmt: skip
    """Return a function that trains an epoch as fer_lib does."""
    import keras

    from fer_lib.models import classifier
    from fer_lib.training import feed

    keras.config.set_dtype_policy(policy)
    model = classifier.build_classifier("mobilenet_v2", weights=None, image_size=image_size)
    keras.config.set_dtype_policy("float32")
    fed = feed.Feed(
        model, images, images[:64], augmentation=augmentation, cache="none", epochs=1, seed=0
    )
    fed.compile(keras.optimizers.AdamW(1e-3), keras.losses.CategoricalCrossentropy())
    fed.trainer.steps_per_execution = steps_per_call
    fed.trainer.jit_compile = fed.trainer.jit_compile if jit_compile == "auto" else jit_compile
    return lambda: fed.train_epoch(targets, None, 0, batch)


def faces_and_targets(count):
    import numpy as np

    from fer_lib.data import synthetic

    return synthetic.make_faces(count).images, np.eye(7, dtype=np.float32)[np.arange(count) % 7]


def compare(image_size, count, rounds):
    """Return rows of the notebook way, ours without augmentation, and ours."""
    images, targets = faces_and_targets(count)
    times = timing.interleaved(
        {
            "plain notebook": notebook_way(images, targets, image_size),
            "ours without augmentation": ours(images, targets, image_size, augmentation="none"),
            "ours": ours(images, targets, image_size),
        },
        rounds,
    )
    without, with_it = times["ours without augmentation"], times["ours"]
    share = 1 - without[1] / with_it[1]
    notes = {way: f"{count / spent[0]:,.0f} faces/s" for way, spent in times.items()}
    notes["ours"] += f"; augmentation {share:.1%} of a step's CPU time (goal: below 8 %)"
    case = f"all, {image_size} px, an epoch of {count:,} faces"
    return timing.rows_of(case, times, goal=2, notes=notes)


def alternative(name, image_size, count, rounds):
    """Return `(wall, cpu)` of an epoch of ours with one change, in a process of its own."""
    environment, settings = ALTERNATIVES[name]
    command = [sys.executable, __file__, "--one", json.dumps([image_size, count, rounds, settings])]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def one(image_size, count, rounds, settings):
    """Time one setting in this process."""
    images, targets = faces_and_targets(count)
    times = timing.interleaved({"": ours(images, targets, image_size, **settings)}, rounds)
    print(json.dumps(times[""]))


def main():
    arguments = timing.options(
        __doc__, rounds={"type": int, "default": 5}, one={"help": "one setting, for this script"}
    )
    if arguments.one:
        one(*json.loads(arguments.one))
        return
    rows = []
    for image_size in (48, 96) if arguments.full else (48,):
        rows += compare(image_size, 1024 if arguments.full else 512, arguments.rounds)
    if arguments.full:
        ALTERNATIVES["as it is"] = ({}, {})
        names = ["as it is", *[name for name in ALTERNATIVES if name != "as it is"]]
        times = {name: alternative(name, 48, 1024, arguments.rounds) for name in names}
        rows += timing.rows_of("all, 48 px, one change of ours", times)
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
