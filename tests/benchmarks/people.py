"""How often `predict --people` knows a person again, on CK+: right, as a newcomer, as another.

python tests/benchmarks/people.py

The last photograph of each of CK+'s sequences (`data/ckplus48.npz` in FER_SHARED, by default
../shared), in two random orders, in calls of 10, of 40 and of all photographs.
"""

import collections

import numpy as np
import video

from fer_lib.inference.predictor import load_predictor
from fer_lib.vision import photos


def judge(numbers, subjects):
    """Count what became of each photograph of a call, by its number and by who is on it."""
    owner, own, told = {}, {}, collections.Counter()
    for number, subject in zip(numbers, subjects, strict=True):
        new = number not in owner
        if subject not in own:
            told["first: as another" if not new else "first: as new"] += 1
        elif number == own[subject]:
            told["back: right"] += 1
        else:
            told["back: as new" if new else "back: as another"] += 1
        if new:
            own.setdefault(subject, number)
        owner.setdefault(number, subject)
    return told


def main():
    """Print one line for each size of a call."""
    with np.load(video.SHARED / "data" / "ckplus48.npz", allow_pickle=False) as file:
        faces, subjects, sequences = (file[name] for name in ("pixels", "subject", "sequence"))
    last = [np.flatnonzero(sequences == one)[-1] for one in dict.fromkeys(sequences.tolist())]
    predictor = load_predictor("default")
    for size in (10, 40, len(last)):
        told = collections.Counter()
        for seed in (0, 1):
            order = np.random.default_rng(seed).permutation(last)
            for start in range(0, len(order), size):
                call = order[start : start + size]
                table = photos.recognise([faces[n] for n in call], predictor, same_people=True)
                first = table.drop_duplicates("source")["face"].tolist()
                # A photograph without a face is a person of its own.
                found = [n if n == n and n is not None else -k for k, n in enumerate(first, 1)]
                told += judge(found, subjects[call])
        print(f"calls of {size}:", dict(sorted(told.items())), flush=True)


if __name__ == "__main__":
    main()
