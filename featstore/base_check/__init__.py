"""Checks of a base: whether the preprocessing is the one that it was trained with."""
