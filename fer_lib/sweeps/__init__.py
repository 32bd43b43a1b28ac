"""Many runs, here or on a cluster.

grid     read_grid, make_grid: the experiments of a sweep
local    a sweep on this machine, and its table
slurm    submit: a sweep as jobs of a cluster
points   one experiment of a sweep, in a process of its own
locks    one process at a time, also across hosts
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
