"""Training: what fits a classifier to faces.

loop           fit carries out Stages, one checkpoint an epoch
feed           what an epoch trains on
frozen         what is frozen is computed once
checkpoints    the state after each epoch: a kill does no harm
optimizers     OPTIMIZERS, SCHEDULES, averaged weights
targets        smoothing, weights of classes, other labels beside
augmentation   AUGMENTATIONS of faces
mixing         MIXING: mixup and cutmix
teachers       distillation: what finished classifiers say of training faces
features       pixels or a network's features of faces
devices        which devices compute, and several for one model
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
