"""What a run keeps of how its network was fine-tuned."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featstore.evaluation.metrics import Metrics, describe_splits


@dataclass(frozen=True, kw_only=True)
class HandOverAccuracy:
    """Accuracy by split of the cached head, and of the network above the cut before its first step."""

    head: dict[str, float]
    network: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """How far the network is from the cached head before the first step, when both should answer alike.

    Attributes:
        largest_difference: The largest difference of a probability, over all images and classes.
        accuracy: Accuracy of both by split.
    """

    largest_difference: float
    accuracy: HandOverAccuracy


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How the network of a run came from a head.

    Attributes:
        head_run: Folder of the head's run.
        cut: Name of the layer whose activation the network is fed with; `pixels` where nothing is frozen.
        trainable_layers: Names of the layers that were trained, from the image upwards; `head` for the head.
        hand_over: The network beside the head before the first step.
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
