"""Measure training on a GPU: faces per second, the share of input, and the distance from its limit.

KERAS_BACKEND=jax python tests/benchmarks/accelerator.py [--full] [--json FILE] [--peak 989]

MobileNetV2 with each mode of unfreezing, in bfloat16, the faces in the device's memory. `input` is
what reading, augmenting and enlarging faces take of a step: the difference to the same steps on one
batch that is already enlarged. The limit is the forward pass's multiplications and additions, three
times (forward and both gradients; once for what is frozen), over the peak that `--peak` names in
10^12 a second (989: an H200 in bfloat16, dense). Without a GPU it says so and measures nothing;
`--anyway` measures on what there is.
"""

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing


def feed(model, images, augmentation, cache="auto"):
    """Return what trains a model on faces, compiled."""
    import keras

    from fer_lib.training.feed import Feed

    made = Feed(
        model, images, images[:64], augmentation=augmentation, cache=cache, epochs=15, seed=0,
        on_device=True,
    )  # fmt: skip
    made.compile(keras.optimizers.AdamW(1e-3), keras.losses.CategoricalCrossentropy())
    return made


def forward_flops(model):
    """Return the multiplications and additions of one face, `(all layers, those that train)`."""

    total = trained = 0
    for layer in model.layers:
        if not hasattr(layer, "kernel"):
            continue
        # Each entry of a kernel is used once at every position of the map that it makes.
        flops = 2 * math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
        total += flops
        trained += flops if layer.trainable else 0
    return total, trained


def job(unfreeze, image_size, faces, batch, rounds, peak):
    """Return the row of one mode at one size."""
    import keras
    import numpy as np

    from fer_lib.data import synthetic
    from fer_lib.models import classifier

    images = np.concatenate([synthetic.make_faces(1000).images] * (faces // 1000))
    targets = np.eye(7, dtype=np.float32)[np.arange(len(images)) % 7]

    def model(face_size):
        keras.config.set_dtype_policy("mixed_bfloat16")
        made = classifier.build_classifier(
            "mobilenet_v2", weights=None, image_size=image_size, unfreeze=unfreeze,
            face_size=face_size,
        )  # fmt: skip
        keras.config.set_dtype_policy("float32")
        return made

    augmentation = "standard" if unfreeze == "all" else "none"
    ours = feed(model((48, 48)), images, augmentation)
    # The same steps on faces that are already large, none of which is read twice or changed.
    large = np.zeros((batch, image_size, image_size), np.uint8)
    bare = feed(model((image_size, image_size)), large, "none")
    steps = len(images) // batch
    times = timing.interleaved(
        {
            "ours": lambda: ours.train_epoch(targets, None, 0, batch),
            "bare": lambda: [
                bare.trainer.train_on_batch(np.arange(batch, dtype="int32"), targets[:batch])
                for _ in range(steps)
            ],
        },
        rounds,
    )
    total, trained = forward_flops(model((48, 48)))
    work = len(images) * (3 * trained if unfreeze != "all" else 3 * total)
    seconds = times["ours"][0]
    share = max(0.0, 1 - times["bare"][0] / seconds)
    return timing.number(
        f"{unfreeze}, {image_size} px, batches of {batch}",
        "ours",
        len(images) / seconds,
        "faces/s",
        note=f"input {share:.0%} of a step; {work / seconds / peak / 1e12:.2%} of the peak",
    )


def main():
    arguments = timing.options(
        __doc__,
        rounds={"type": int, "default": 5},
        batch={"type": int, "default": 512},
        peak={"type": float, "default": 989.0, "help": "10^12 operations a second"},
        anyway={"action": "store_true", "help": "measure without a GPU too"},
    )
    import keras

    devices = keras.distribution.list_devices()
    if not any("gpu" in device.lower() for device in devices) and not arguments.anyway:
        print(f"skipped: no GPU among {', '.join(devices)}")
        timing.finish([], arguments)
        return
    sizes, faces = ((48, 96, 224), 28_000) if arguments.full else ((48,), 2_000)
    rows = [
        job(unfreeze, size, faces, arguments.batch, arguments.rounds, arguments.peak)
        for size in sizes
        for unfreeze in ("top", "100", "all")
    ]
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
