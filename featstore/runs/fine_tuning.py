"""The record of a fine-tuning in its run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featstore.evaluation.metrics import Metrics, describe_splits


@dataclass(frozen=True, kw_only=True)
class HandOverAccuracy:
    """Accuracy by split at the hand-over.

    Attributes:
        head: Accuracy of the head on cached features.
        network: Accuracy of the network above the cut.
    """

    head: dict[str, float]
    network: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """The comparison of the network with the cached head before the first step, when both should predict the same.

    Attributes:
        largest_difference: Largest difference of a probability, over all images and classes.
        accuracy: Accuracies of both by split.
    """

    largest_difference: float
    accuracy: HandOverAccuracy


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How the network of a run was made from a head.

    Attributes:
        head_run: Folder of the head's run.
        cut: Name of the layer whose activations are the input of the network; `pixels` if nothing is frozen.
        trainable_layers: Names of the layers that were trained, from the image upwards; the last is `head`.
        hand_over: Comparison of the network with the head before the first step.
        metrics_before: Metrics of the head by split.
        beats_head: Whether the network is better than the head on the validation split.
    """

    head_run: Path
    cut: str
    trainable_layers: tuple[str, ...]
    hand_over: HandOver
    metrics_before: dict[str, Metrics]
    beats_head: bool

    def describe(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return asdict(self) | {
            "head_run": str(self.head_run),
            "metrics_before": describe_splits(self.metrics_before),
        }
