"""Plots of results, drawn with matplotlib; the learning curve of a head with Pillow."""
