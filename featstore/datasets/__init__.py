"""Data sets: their images with labels, splits and digests, and leaks between the splits."""
