"""One tiny training run, for tests to kill: `python tiny_run.py RESULTS_DIR [SEED]`."""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fer_lib.data import synthetic
from fer_lib.experiments import runner
from fer_lib.experiments.experiment import Experiment
from support.tiny_backbone import installed

counts = {"train": 70, "validation": 35, "test": 35}
faces = {
    split: dataclasses.replace(synthetic.make_faces(n, seed=seed), name=f"synthetic {split}")
    for seed, (split, n) in enumerate(counts.items())
}
with installed():
    runner.run(
        Experiment(
            dataset="synthetic",
            backbone="tiny",
            weights=None,
            unfreeze="all",
            image_size=32,
            epochs=4,
            batch_size=32,
            mixed_precision="none",
            seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0,
            results_dir=sys.argv[1],
        ),
        faces,
    )
