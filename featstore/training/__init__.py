"""Training: one head, from cached features, to a saved run."""
