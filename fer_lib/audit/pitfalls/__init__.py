"""Pitfalls: traps behind published numbers, each replayed in small beside the honest number.

The networks are small and see few faces, so what counts is the gap between the two numbers, not
their height. To add one: write `name(…) -> Pitfall`, export it here and give it a cell in
`notebooks/pitfalls.ipynb`.
"""

from fer_lib.audit.pitfalls.faults import (
    attention_over_batch,
    divide_again,
    faulty_batch_attention,
    rescaled_twice,
)
from fer_lib.audit.pitfalls.pitfall import Pitfall, over_faces, over_seeds, summary
from fer_lib.audit.pitfalls.reporting import binary_accuracy, epoch_chosen_on_test, one_seed
from fer_lib.audit.pitfalls.rows import copies_before_split, easy_faces, training_rows
from fer_lib.audit.pitfalls.trainings import Training, small_parts, train_network, train_seeds

__all__ = [
    "Pitfall",
    "Training",
    "attention_over_batch",
    "binary_accuracy",
    "copies_before_split",
    "divide_again",
    "easy_faces",
    "epoch_chosen_on_test",
    "faulty_batch_attention",
    "one_seed",
    "over_faces",
    "over_seeds",
    "rescaled_twice",
    "small_parts",
    "summary",
    "train_network",
    "train_seeds",
    "training_rows",
]
