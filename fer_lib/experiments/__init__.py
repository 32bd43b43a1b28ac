"""Experiments and their runs.

experiment      Experiment: the parameters of a run
runner          run carries an experiment out
runs            Run, load_run, find_runs, runs_table: the folders of results
run_files       where runs lie, and which of their files were changed
published       publish: small copies of runs, for a report
given           the faces of a run, checked before anything is trained
locks           one process at a time, also across hosts
holding         one process in a run's folder, and how it was left
story           what a run will do and what came of it, in sentences
environment     the machine, versions, code and data of a run
values          what people pass for a number or a truth
comparison      compare_runs, ensemble: several runs on the same faces
cross_dataset   cross_table: models on data sets that they were not trained on
human           human_score: what one FER+ tagger scores
beside_taggers  tagger_table: models beside the people who voted
whom            groups_of_run: whom a run fails
model_card      ship: small files of a run, with their card
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
