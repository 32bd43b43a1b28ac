"""Classifiers: a backbone, its start, its attention and its head."""
