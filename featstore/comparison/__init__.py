"""Comparisons: a grid of features and heads, measured on the same images."""
