"""Faces: what reads, splits, joins, draws and describes data."""
