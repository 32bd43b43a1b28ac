"""Traps of the rows: which faces are trained on, and which are scored."""

import dataclasses

import keras
import numpy as np

from fer_lib.audit import data_checks
from fer_lib.audit.pitfalls.pitfall import Pitfall, over_faces
from fer_lib.audit.pitfalls.trainings import train_network
from fer_lib.audit.score_checks import scored_subset
from fer_lib.data import duplicates, exploration
from fer_lib.training.augmentation import RandomFace


def training_rows(training, faces):
    """Replay the validation on rows that were trained on.

    Args:
        training: A `Training` of `train_seeds`.
        faces: The `Faces` it was trained on.
    """
    epoch, known = training.best("train"), training.faces["train"]
    scores = {
        "validated on training rows": over_faces(training.right("train")[epoch]),
        "same network, test": over_faces(training.right("test")[epoch]),
    }
    groups = duplicates.duplicate_groups(np.concatenate([faces.images, known.images]))
    both = (faces.ids, groups[: len(faces)]), (known.ids, groups[len(faces) :])
    return Pitfall(
        "validating on training rows",
        scores,
        *scores,
        "hold out rows before training (splits.holdout)",
        [data_checks.trained_on_evaluation_rows(*both)],
        f"Epoch {epoch + 1}; {len(known):,} training rows, {len(training.faces['test']):,} test "
        "faces.",
    )


def copies_before_split(parts, *, copies=3, share=0.2, seed=0, **settings):
    """Replay augmenting first and splitting at random afterwards.

    Every face of half of train gets copies, mirrored by chance and rotated by up to 10 degrees;
    of all of them a random part is held out. Copies of one face count as independent in the
    interval, so that it is too narrow, as it is in such publications.

    Args:
        parts: Dict of `small_parts`.
        copies: Number of copies of each face.
        share: Part of faces and copies that is held out.
        seed: Seed of copies, split and training.
        **settings: Go to `train_network`.
    """
    faces = parts["train"][::2]
    turn, many = RandomFace(flip=True, rotation=10, seed=seed), copies + 1
    turned = [keras.ops.convert_to_numpy(turn(faces.images, training=True)) for _ in range(copies)]
    everything = dataclasses.replace(
        faces[np.tile(np.arange(len(faces)), many)],
        images=np.concatenate([faces.images, *turned]),
        ids=np.array([f"{row} copy {copy}" for copy in range(many) for row in faces.ids.tolist()]),
    )
    order = np.random.default_rng(seed).permutation(len(everything))
    cut = round(share * len(everything))
    held, rest = everything[order[:cut]], everything[order[cut:]]
    training = train_network(rest, {"held": held, "test": parts["test"]}, seed=seed, **settings)
    epoch = training.best("held")
    scores = {
        "copies on both sides": over_faces(training.right("held")[epoch]),
        "same network, test": over_faces(training.right("test")[epoch]),
    }
    groups = duplicates.near_duplicate_groups(np.concatenate([rest.images, held.images]))
    sides = {"train": groups[: len(rest)], "test": groups[len(rest) :]}
    check = data_checks.shared_between_splits("near-duplicates", sides, data_checks.NEAR_TOLERATED)
    return Pitfall(
        "augmented copies on both sides of the split",
        scores,
        *scores,
        "split first (splits.holdout keeps groups and copies together), augment only train",
        [check],
        f"{len(faces):,} faces and {copies} copies of each; {len(held):,} of them held out.",
    )


def easy_faces(training, dataset):
    """Replay the score on the faces that FER+'s taggers agree on.

    The network, its answers and the labels (FER-2013's) stay the same; only rows are left out.

    Args:
        training: A `Training` of `train_seeds`.
        dataset: Key of `DATASETS` that it was trained on.

    Returns:
        `(pitfall, notice)`: a `Pitfall`, or `None` where there are no votes; and a sentence.
    """
    voted, votes, notice = exploration.find_votes(dataset)
    if voted is None:
        return None, notice
    faces = training.faces["test"]
    right = training.right("test")[training.best("validation")]
    place = {row: place for place, row in enumerate(voted.ids.tolist())}
    rows = np.array([place.get(row, -1) for row in faces.ids.tolist()])
    votes = np.where((rows >= 0)[:, None], votes[rows], 0)
    alike = votes[:, :-2].max(axis=1) >= 8
    kept = {
        "8 of 10 taggers agree": alike,
        "more than half agree": exploration.voted(votes) >= 0,
        "all test faces": np.ones(len(faces), bool),
    }
    scores = {
        f"{name} (n = {some.sum():,})": over_faces(right[some])
        for name, some in kept.items()
        if some.any()
    }
    pitfall = Pitfall(
        "scoring only the easy FER+ rows",
        scores,
        next(iter(scores)),
        list(scores)[-1],
        "score every face of the split; say which rows a protocol leaves out",
        [scored_subset(int(alike.sum()), len(faces), 0)],
        "One network, the same answers, FER-2013's labels: only rows are left out.",
    )
    return pitfall, notice
