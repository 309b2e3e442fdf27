"""Heads: classifiers on cached features, from Keras or scikit-learn, with one interface."""
