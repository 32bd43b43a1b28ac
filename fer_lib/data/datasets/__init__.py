"""One file per data set: how it is found, read, and what is known about it."""
