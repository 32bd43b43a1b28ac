"""Classifiers: a backbone, its start, its attention and its head.

classifier     build_classifier, BACKBONES; set_trainable says what trains
transfer       backbones with ImageNet's weights
from_scratch   networks for small faces that start at random
attention      over channels and places of a map
own_network    a Keras network of the user's as a backbone
weights        where pretrained weights are looked for
cost           multiply_adds of a model
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
