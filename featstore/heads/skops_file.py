"""Reading logistic heads of runs of format version 3: a scikit-learn pipeline written by skops."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from featstore.heads.linear import LinearClassifier
from featstore.system.archive import open_archive


def load_skops(path: Path) -> LinearClassifier:
    """Return the classifier in `path`; raises ValueError for other objects, and what skops raises for other types.

    skops trusts every object of scikit-learn in any state, so only the arrays are used.
    """
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    with open_archive(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn about its version, which does not change an array
        found = skops.io.load(path, trusted=[])
    if type(found) is not Pipeline or [type(step) for _, step in found.steps] != [StandardScaler, LogisticRegression]:
        raise ValueError(f"it has a {type(found).__name__}, not a scaler and a logistic regression")
    scaler, model = (vars(step) for _, step in found.steps)
    return LinearClassifier(
        mean=scaler["mean_"],
        scale=scaler["scale_"],
        coefficients=model["coef_"],
        intercept=model["intercept_"],
        C=float(model["C"]),
        samples=int(np.max(scaler["n_samples_seen_"])),
    )
