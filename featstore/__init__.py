"""featstore: extract bottleneck features once, cache them safely, train heads in seconds.

Names are loaded when they are first used, and none of them loads TensorFlow before a network has to run.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Bottleneck": "featstore.features.bottleneck",
    "FeatstoreError": "featstore.errors",
    "FeatureSpec": "featstore.spec",
    "Manifest": "featstore.datasets.manifest",
    "Recipe": "featstore.extraction.recipe",
    "Run": "featstore.runs.run",
    "compare": "featstore.comparison.job",
    "evaluate": "featstore.runs.evaluation",
    "extract": "featstore.extraction.pipeline",
    "fine_tune": "featstore.finetuning.job",
    "load_features": "featstore.extraction.pipeline",
    "load_run": "featstore.runs.run",
    "open_features": "featstore.extraction.pipeline",
    "predict": "featstore.runs.prediction",
    "scan": "featstore.datasets.manifest",
    "train_head": "featstore.training.job",
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
