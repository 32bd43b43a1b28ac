from .classifier import BACKBONES as BACKBONES
from .classifier import build_classifier as build_classifier
from .classifier import set_trainable as set_trainable
from .classifier import trainable_summary as trainable_summary
from .cost import multiply_adds as multiply_adds
