"""Photographs, videos and cameras: from a picture to faces and their expressions."""
