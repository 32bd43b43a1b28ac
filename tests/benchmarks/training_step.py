"""Measure where a second of training buys most: faces and arithmetic of a step, network by network.

python tests/benchmarks/training_step.py [--full] [--json FILE]

One optimizer step on a batch of grey faces, everything trained, augmentation included. The ways of
a case take turns: single precision first, then bfloat16. A row gives faces a second; its note the
parameters, the multiply-adds of an answer, and the arithmetic of a step (forward and twice
backward, two operations per multiply-add) in GFLOP a second.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing

# Network and side in pixels, from the dense ones to those of depthwise convolutions.
CASES = (
    ("resnet12", 48),
    ("resnet14", 48),
    ("resnet12", 32),
    ("se_resnet", 48),
    ("separable", 48),
    ("mini_xception", 48),
    ("mobilenet_v2", 48),
    ("mobilenet_v2", 96),
    ("mobilenet", 96),
)
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def step(network, size, batch, policy, faces, targets):
    """Return a function that takes one training step, and the model."""
    import keras

    from fer_lib.models.classifier import build_classifier
    from fer_lib.training.augmentation import build_augmentation
    from fer_lib.training.optimizers import build_optimizer

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = build_classifier(network, weights=None, image_size=size)
    finally:
        keras.config.set_dtype_policy(before)
    trained = keras.Model(model.input, model(build_augmentation("strong")(model.input)))
    trained.compile(build_optimizer("sgd", 0.01, 5e-3, ema=0.998), "categorical_crossentropy")
    return lambda: trained.train_on_batch(faces[:batch], targets[:batch]), model


def main():
    """Time the steps and print the table."""
    from fer_lib.data import synthetic
    from fer_lib.models.cost import multiply_adds

    options = timing.options(__doc__)
    batches = (64, 128) if options.full else (128,)
    faces = synthetic.make_faces(max(batches), seed=0)
    rows = []
    for network, size in CASES if options.full else CASES[:1]:
        for batch in batches:
            steps = {
                name: step(network, size, batch, policy, faces.images, faces.targets)
                for name, policy in POLICIES.items()
            }
            times = timing.interleaved({name: run for name, (run, _) in steps.items()})
            model = steps["float32"][1]
            work = multiply_adds(model)
            for row in timing.rows_of(f"{network}, {size} px, batch {batch}", times):
                seconds = row["median"]
                row |= {"median": batch / seconds, "unit": "faces/s"}
                row["note"] = (
                    f"{model.count_params() / 1e6:.2f} M parameters, {work / 1e6:.0f} M "
                    f"multiply-adds, {6 * work * batch / seconds / 1e9:.0f} GFLOP/s"
                )
                rows.append(row)
    timing.finish(rows, options)


if __name__ == "__main__":
    main()
