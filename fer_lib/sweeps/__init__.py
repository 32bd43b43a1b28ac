"""Many runs, here or on a cluster.

grid      read_grid, make_grid: the experiments of a sweep
local     run: a sweep on this machine
slurm     submit: a sweep as jobs of a cluster
forecast  what time and memory they will take
points    the experiments of a sweep, and how far each has come
worker    one experiment in a process of its own
summary   collect, summarise, status: one table of all
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
