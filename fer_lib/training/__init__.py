"""Training: what fits a classifier to faces."""
