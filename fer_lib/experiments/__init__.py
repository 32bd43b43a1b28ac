"""Experiments and their runs.

experiment      Experiment: the parameters of a run
runner          run carries an experiment out
runs            Run, load_run, find_runs, runs_table: the folders of results
ensembles       the mean answer of several runs
cross_dataset   cross_table: models on data sets that they were not trained on
publish         copies of what a report needs
model_card      ship: small files of a run, with their card
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
