"""Explanations: where in an image a run finds the evidence for its answer."""
