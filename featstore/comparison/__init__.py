"""Measuring a grid of features and heads on the same images."""
