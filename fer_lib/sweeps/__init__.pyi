from .grid import Grid as Grid
from .grid import make_grid as make_grid
from .grid import read_grid as read_grid
from .slurm import submit as submit
from .summary import collect as collect
from .summary import status as status
from .summary import summarise as summarise
