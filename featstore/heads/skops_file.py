"""Files of scikit-learn's own objects, written by skops: nothing is unpickled, and only types that it trusts load."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from featstore.heads.linear import LinearClassifier
from featstore.system.archive import open_archive
from featstore.system.files import write_whole


def untrusted_types(thing: Any) -> list[str]:
    """Return the types in it that skops does not trust, or why it cannot be written at all."""
    import skops.io

    try:
        return list(map(str, skops.io.get_untrusted_types(data=skops.io.dumps(thing))))
    except Exception as error:  # noqa: BLE001  # skops raises what the objects raise
        return [f"{type(thing).__name__} ({' '.join(str(error).split())[:200]})"]


def dump_trusted(thing: Any, path: Path) -> None:
    """Write objects without untrusted types; raises StoreError."""
    import skops.io

    write_whole(path, skops.io.dumps(thing))


def read_trusted(path: Path) -> Any:
    """Return the objects in `path`; raises what skops raises for types that it does not trust.

    skops trusts every object of scikit-learn in any state, so the caller checks what it is.
    """
    import skops.io

    with open_archive(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn about its version, which does not change an array
        return skops.io.load(path, trusted=[])


def load_skops(path: Path) -> LinearClassifier:
    """Return the logistic head in `path`, of a run of format version 3; raises ValueError for other objects.

    Only the arrays are used.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    found = read_trusted(path)
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
