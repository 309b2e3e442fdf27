"""Heads: classifiers on cached features, Keras or scikit-learn, behind one interface."""
