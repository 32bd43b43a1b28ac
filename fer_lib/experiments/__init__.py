"""Experiments and their runs."""
