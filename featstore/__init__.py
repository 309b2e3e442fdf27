"""featstore: extract bottleneck features once, cache them safely, train heads in seconds.

Names are loaded when they are first used, and none of them loads TensorFlow before a network has to run.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Bottleneck": "featstore.bottleneck",
    "FeatstoreError": "featstore.errors",
    "FeatureSpec": "featstore.spec",
    "Manifest": "featstore.images.manifest",
    "Recipe": "featstore.recipe",
    "Run": "featstore.runs",
    "compare": "featstore.measuring",
    "evaluate": "featstore.evaluating",
    "extract": "featstore.workflow",
    "fine_tune": "featstore.finetuning",
    "load_features": "featstore.workflow",
    "load_run": "featstore.runs",
    "open_features": "featstore.workflow",
    "predict": "featstore.prediction",
    "scan": "featstore.images.manifest",
    "train_head": "featstore.training",
}

__all__ = [
    "Bottleneck",
    "FeatstoreError",
    "FeatureSpec",
    "Manifest",
    "Recipe",
    "Run",
    "compare",
    "evaluate",
    "extract",
    "fine_tune",
    "load_features",
    "load_run",
    "open_features",
    "predict",
    "scan",
    "train_head",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'featstore' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
