from .cross_dataset import cross_table as cross_table
from .experiment import Experiment as Experiment
from .model_card import ship as ship
from .runner import run as run
from .runs import Run as Run
from .runs import find_runs as find_runs
from .runs import load_run as load_run
from .runs import runs_table as runs_table
