"""Finished models: files that answer, and what spoke for an answer."""
