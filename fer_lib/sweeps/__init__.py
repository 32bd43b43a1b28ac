"""Many runs, here or on a cluster.

grid      read_grid, make_grid: the experiments of a sweep
points    the experiments of a sweep: their files, and how far each is
worker    one of them, in a process of its own
local     a sweep on this machine
slurm     submit: a sweep as jobs of a cluster
summary   status, collect, summarise: a table of all
locks     one process at a time, also across hosts
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
