from .augmentation import AUGMENTATIONS as AUGMENTATIONS
from .augmentation import build_augmentation as build_augmentation
from .loop import Stage as Stage
from .loop import fit as fit
from .mixing import MIXING as MIXING
from .optimizers import OPTIMIZERS as OPTIMIZERS
from .optimizers import SCHEDULES as SCHEDULES
