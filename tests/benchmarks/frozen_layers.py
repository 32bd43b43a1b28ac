"""Time training with frozen layers computed once against the naive fit of the whole model.

python tests/benchmarks/frozen_layers.py [--full] [--json FILE]

Every cost here is per face, so epochs of a part of the faces are timed, taking turns, and the job
of 28,709 faces and 15 epochs is their sum. Naive: 15 epochs of `model.fit` on the whole model,
faces in memory, batches of 64. Ours: one pass through the frozen layers for each view (one view
without augmentation, eight with it), by LiteRT with its conversion counted (`cache="auto"`) or by
Keras (`"exact"`), and 15 epochs of the other layers. The limit of this idea is that one pass plus
what the other layers compute, and `share of the limit` says how near ours is, with the other
layers' own arithmetic timed as one step on a batch that is already in place. The weights are the
shipped model's: random ones would compute with numbers too small for an honest speed.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing

FACES, EPOCHS, BATCH, VIEWS = 28_709, 15, 64, 8
GOALS = {("top", 96): 12, ("top", 48): 8, ("100", 96): 3, ("100", 48): 1.5}


def feed(unfreeze, image_size, images, cache):
    """Return what trains, compiled."""
    import keras

    from fer_lib.models import classifier
    from fer_lib.training.feed import Feed

    keras.utils.set_random_seed(0)
    model = classifier.build_classifier(
        "mobilenet_v2", weights="fer", image_size=image_size, unfreeze=unfreeze
    )
    made = Feed(model, images, images[:64], augmentation="none", cache=cache, epochs=1, seed=0)
    made.compile(keras.optimizers.AdamW(1e-3), keras.losses.CategoricalCrossentropy())
    return model, made


def job(unfreeze, image_size, faces, rest_faces, rounds):
    """Return the rows of one mode at one size."""
    import numpy as np

    from fer_lib.data import synthetic
    from fer_lib.training import frozen

    images = synthetic.make_faces(faces).images
    model, naive = feed(unfreeze, image_size, images, "none")
    prefix, _ = frozen.split_at_frozen(model)
    _, ours = feed(unfreeze, image_size, images, "auto")
    # An epoch has a cost of its own, so that short ones of the head say too much.
    ours.rows, ours.count = np.resize(ours.rows, (rest_faces, *ours.rows.shape[1:])), rest_faces
    targets = np.eye(7, dtype=np.float32)[np.arange(max(faces, rest_faces)) % 7]
    batch = [part[:BATCH] for part in (ours.rows, targets)]
    litert = frozen.forward_pass(prefix, FACES, exact=False)
    times = timing.interleaved(
        {
            "naive": lambda: naive.train_epoch(targets[:faces], None, 0, BATCH),
            "convert": lambda: frozen.forward_pass(prefix, FACES, exact=False),
            "pass": lambda: litert(images, None),
            "keras pass": lambda: frozen.compute_features(prefix, images),
            "rest": lambda: ours.train_epoch(targets[:rest_faces], None, 0, BATCH),
            "steps": lambda: [
                ours.trainer.train_on_batch(*batch) for _ in range(rest_faces // BATCH)
            ],
        },
        rounds,
    )
    measured = dict.fromkeys(times, faces) | dict.fromkeys(("rest", "steps"), rest_faces)
    cost = {name: np.array(spent) * FACES / measured[name] for name, spent in times.items()}
    convert, once, rest = np.array(times["convert"]), cost["pass"], EPOCHS * cost["rest"]
    # A step of train_on_batch has a call's own cost; where the fit is quicker, that is the limit.
    limit = once + np.minimum(rest, EPOCHS * cost["steps"])
    total = convert + once + rest
    speed = {name: f"{FACES / spent[0]:,.0f}" for name, spent in cost.items()}
    case = f"{unfreeze}, {image_size} px, {FACES:,} faces x {EPOCHS} epochs"
    return timing.rows_of(
        case,
        {
            "naive model.fit": EPOCHS * cost["naive"],
            f"cached, {VIEWS} augmented views": convert + VIEWS * once + rest,
            'cached, cache="exact"': cost["keras pass"] + rest,
            "cached": total,
        },
        goal=GOALS[unfreeze, image_size],
        notes={
            "naive model.fit": f"{speed['naive']} faces/s",
            'cached, cache="exact"': f"pass {speed['keras pass']} faces/s",
            "cached": f"pass {speed['pass']}, rest {speed['rest']} faces/s; "
            f"{limit[0] / total[0]:.0%} of the limit; with the rest alone "
            f"{(EPOCHS * cost['naive'] / rest)[0]:.1f}x",
        },
    )


def main():
    arguments = timing.options(__doc__, rounds={"type": int, "default": 5})
    rows = []
    for unfreeze, image_size in GOALS:
        if arguments.full or image_size == 48:
            faces = 4096 if arguments.full else 1024
            rest_faces = FACES if arguments.full and unfreeze == "top" else faces
            rows += job(unfreeze, image_size, faces, rest_faces, arguments.rounds)
    timing.finish(rows, arguments)


if __name__ == "__main__":
    main()
