"""Scores of predictions, with intervals.

metrics        score and METRICS; confusion_matrix, paired_difference
confusion      what a confusion matrix tells: per_class
bootstrap      resampled faces, behind every interval
calibration    fit_temperature makes confidence fit accuracy
significance   mcnemar and holm: may two classifiers differ by chance?
by_group       group_table: whom a classifier fails
one_vs_rest    each emotion against all others: ranking_table, curves
taggers        what one tagger would score, beside a model
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
