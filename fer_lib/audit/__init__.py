"""Is this number right?

report           audit: all checks of a data set or a run
data_checks      checks of the splits
shortcut_checks  checks of what tells the class beside the face
chain_checks     checks of what a run was started from and taught by
score_checks     checks of what was scored, and how
model_checks     checks that run a model
noise_checks     checks of what a score or a difference may mean
evidence         what the checks work from
finding          Finding: what a check returns
reforms          the REFORMS checklist of a run
label_quality    label_issues: labels that a classifier doubts
pitfalls         traps behind published numbers, replayed
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
