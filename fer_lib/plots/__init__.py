"""Figures: one function draws one Axes and returns it.

Each takes the data first and `ax=None` (a new figure), `title=None`; further keywords go to the
artist it draws. It computes no statistic, shows nothing and saves nothing (`save_figure` does).
"""

from fer_lib.plots.cross_dataset import plot_cross_table
from fer_lib.plots.curves import (
    plot_histories,
    plot_history,
    plot_precision_recall,
    plot_reliability,
    plot_roc,
)
from fer_lib.plots.data import (
    plot_agreement,
    plot_counts_change,
    plot_distributions,
    plot_duplicates,
    plot_embedding,
    plot_mean_faces,
    plot_precision_at_k,
)
from fer_lib.plots.drawing import save_figure
from fer_lib.plots.explanations import plot_answer, plot_average_maps, plot_maps
from fer_lib.plots.faces import plot_class_counts, plot_faces, plot_mistakes
from fer_lib.plots.pitfalls import plot_gaps
from fer_lib.plots.scores import (
    plot_class_f1,
    plot_confusion,
    plot_confusion_difference,
    plot_cost,
    plot_scores,
)
from fer_lib.plots.timeline import (
    plot_emotion_areas,
    plot_emotion_strip,
    plot_lane,
    plot_transitions,
    timeline_figure,
)

__all__ = [
    "plot_agreement",
    "plot_answer",
    "plot_average_maps",
    "plot_class_counts",
    "plot_class_f1",
    "plot_confusion",
    "plot_confusion_difference",
    "plot_cost",
    "plot_counts_change",
    "plot_cross_table",
    "plot_distributions",
    "plot_duplicates",
    "plot_embedding",
    "plot_emotion_areas",
    "plot_emotion_strip",
    "plot_faces",
    "plot_gaps",
    "plot_histories",
    "plot_history",
    "plot_lane",
    "plot_maps",
    "plot_mean_faces",
    "plot_mistakes",
    "plot_precision_at_k",
    "plot_precision_recall",
    "plot_reliability",
    "plot_roc",
    "plot_scores",
    "plot_transitions",
    "save_figure",
    "timeline_figure",
]
