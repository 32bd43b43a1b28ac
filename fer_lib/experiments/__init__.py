"""Experiments and their runs.

experiment      Experiment: the parameters of a run
runner          run carries an experiment out
environment     machine, versions, code and data of a run
values          what people pass for a number, a truth or text
runs            Run, load_run, find_runs, runs_table; publish copies what a report needs
comparison      compare_runs tests whether runs differ, ensemble averages their answers
cross_dataset   cross_table: models on data sets that they were not trained on
model_card      ship: small files of a run, with their card
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
