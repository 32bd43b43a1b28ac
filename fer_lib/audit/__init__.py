"""Is this number right?

report          audit: all checks of a data set or a run
checks          checks on arrays, each a Finding
model_checks    checks that run a model
significance    what a difference between two scores may mean: compare_runs
label_quality   label_issues: labels that a classifier doubts
pitfalls        traps behind published numbers, replayed
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
