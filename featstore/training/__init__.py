"""Training one head from cached features."""
