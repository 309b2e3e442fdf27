"""The audit of a data set: whether its figures may be believed, and which images to look at."""
