"""Facial-expression recognition: honest experiments on small grey faces, with Keras 3."""

__version__ = "0.1.0"
