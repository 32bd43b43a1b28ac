"""Which layers should stay in floating point in an int8 file? Measured on validation faces.

python tests/benchmarks/int8_layers.py RUN… [--test] [--json FILE]

For each finished run and each threshold of `formats.FLOAT_ABOVE` (a layer whose integer tensor
strays further than that many standard deviations of its own rounding stays in floating point; inf:
all integer but the head): how far the probabilities are from Keras's (mean Kullback-Leibler
divergence, in thousandths), accuracy in points lost, and milliseconds of CPU time per face in
batches of 64. The threshold is to be chosen by this table, on validation; `--test` then adds the
test faces for the one that is set.
"""

import argparse
import json
import math
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import timing

THRESHOLDS = (math.inf, 3, 2, 1.5, 1.2)


def row(run, faces, expected, threshold, rounds):
    """Return a dict of what one threshold costs and gives on some faces."""
    import numpy as np
    from scipy.special import rel_entr

    from fer_lib.evaluation import metrics
    from fer_lib.inference import formats
    from fer_lib.storage import read_json

    formats.FLOAT_ABOVE = threshold
    with tempfile.TemporaryDirectory() as folder:
        path = formats.export(run, folder, formats=["litert_int8"])["litert_int8"]
        predictor = formats.load_predictor(path, threads=1)
        found = predictor.predict(faces.images)
        layers = read_json(f"{path}.json")["float_layers"]
        batch = faces.images[:64]
        seconds = timing.interleaved({"": lambda: predictor.predict(batch)}, rounds)[""][1]
        size = path.stat().st_size / 1e6
    accuracy = metrics.METRICS["accuracy"]
    lost = accuracy(faces.classes, expected) - accuracy(faces.classes, found)
    return {
        "run": run.label(),
        "faces": faces.name,
        "n": len(faces),
        "float above": threshold,
        "float layers": layers,
        "divergence / 1000": round(1e3 * rel_entr(expected, found.clip(1e-9)).sum(1).mean(), 2),
        "other label %": round(100 * float((expected.argmax(1) != found.argmax(1)).mean()), 2),
        "points lost": round(100 * lost, 2),
        "ms per face": round(1e3 * seconds / len(batch), 3),
        "MB": round(size, 2),
    } | ({} if np.isfinite(found).all() else {"faces": "NOT FINITE"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--test", action="store_true", help="score the set threshold on test")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    import pandas as pd

    from fer_lib.data import catalogue
    from fer_lib.experiments import runs
    from fer_lib.inference import formats

    chosen, rows = formats.FLOAT_ABOVE, []
    for folder in arguments.runs:
        run = runs.load_run(folder)
        data = catalogue.load_dataset(run.experiment.dataset)
        for prefix, split in (
            (("", "test"),) if arguments.test else (("validation_", "validation"),)
        ):
            expected = run.predictions[f"{prefix}probabilities"]
            for threshold in (chosen,) if arguments.test else THRESHOLDS:
                rows.append(row(run, data[split], expected, threshold, arguments.rounds))
    print(pd.DataFrame(rows).to_string(index=False))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
