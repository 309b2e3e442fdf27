"""The metrics of a classifier by split, each with what else the split was used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from featstore.datasets.manifest import Picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.metrics import Metrics


def measure_splits(
    probabilities: Mapping[str, NDArray[np.float64]],
    pictures: Mapping[str, Sequence[Picture]],
    classes: Sequence[str],
    stops_on_val: bool,
) -> dict[str, Metrics]:
    """Return the metrics of each split of a classifier's own data set.

    Args:
        probabilities: (n, classes) by split.
        pictures: The n labelled images of each split; those of one group, and copies, count as one in the intervals.
        classes: Names of the columns.
        stops_on_val: Whether the validation split decided when training stopped.
    """
    from featstore.evaluation.metrics import UsedFor, compute_metrics
    from featstore.features.arrays import labels_of, units_of

    uses: dict[str, UsedFor] = {"train": "training", "val": "stopping" if stops_on_val else "measuring"}
    return {
        split: compute_metrics(
            found,
            labels_of(pictures[split]),
            classes,
            units_of(pictures[split]),
            used_for=uses.get(split, "measuring"),
        )
        for split, found in probabilities.items()
    }
