"""Figures: one function draws one Axes and returns it.

Each takes the data first and `ax=None` (a new figure), `title=None`; further keywords go to the
artist it draws. It computes no statistic, shows nothing and saves nothing (`save_figure` does).
"""

from fer_lib.plots.curves import plot_histories, plot_history
from fer_lib.plots.drawing import save_figure
from fer_lib.plots.faces import plot_class_counts, plot_faces, plot_mistakes
from fer_lib.plots.scores import plot_class_f1, plot_confusion, plot_scores

__all__ = [
    "plot_class_counts",
    "plot_class_f1",
    "plot_confusion",
    "plot_faces",
    "plot_histories",
    "plot_history",
    "plot_mistakes",
    "plot_scores",
    "save_figure",
]
