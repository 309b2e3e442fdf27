"""Data sets: which images there are, their labels, splits, digests and leaks."""
