"""Files on disk to `Faces`."""
