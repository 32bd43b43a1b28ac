"""Figures: one function draws one Axes and returns it.

Each takes the data first and `ax=None` (a new figure), `title=None`; further keywords go to the
artist it draws. It computes no score, shows nothing and saves nothing (`save_figure` does).

faces           plot_faces, plot_class_counts, plot_mistakes
data            what a data set looks like: plot_mean_faces, plot_embedding and more
curves          plot_history, plot_reliability, plot_roc, plot_precision_recall
naming          names_by_difference: short names of runs
scores          plot_confusion, plot_class_f1, plot_scores, plot_cost
groups          plot_groups: scores by groups of people
cross_dataset   plot_cross_table: models on data sets
explanations    plot_maps, plot_answer, plot_answers: what spoke for an answer
timeline        emotions over time: plot_lane of a person, timeline_figure of a video
pitfalls        plot_gaps: all pitfalls beside the honest numbers
saving          save_figure: a PNG for the screen, a PDF for a paper, captions
drawing         what all figures share
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
