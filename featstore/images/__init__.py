"""From files to pixels: the manifest of a data set, reading an image, and the preprocessing variants."""
