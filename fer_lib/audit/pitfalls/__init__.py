"""Pitfalls: traps behind published numbers, each replayed in small beside the honest number.

The networks are small and see few faces, so what counts is the gap between the two numbers, not
their height. To add one: write `name(…) -> Pitfall`, name it in `__init__.pyi` and give it a cell
in `notebooks/pitfalls.ipynb`.

rows        training_rows, copies_before_split, easy_faces: which faces are trained on and scored
faults      rescaled_twice, attention_over_batch: faults of a network
reporting   binary_accuracy, epoch_chosen_on_test, one_seed
pitfall     Pitfall, and summary: the table of all
trainings   the small trainings that they are replayed with
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
