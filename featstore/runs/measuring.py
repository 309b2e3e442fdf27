"""The metrics of a classifier by split, each with what else the split was used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from featstore.datasets.manifest import Picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.metrics import Metrics, UsedFor


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
    from featstore.evaluation.metrics import compute_metrics
    from featstore.features.arrays import labels_of, units_of

    # of several copies of an image, one in train counts, as in the splits that a run keeps
    split_of = {p.digest: split for split in ("test", "val", "train") for p in pictures.get(split, ())}
    metrics = {}
    for split, found in probabilities.items():
        some = pictures[split]
        use = used_for(some, split_of, stops_on_val)
        metrics[split] = compute_metrics(found, labels_of(some), classes, units_of(some), use)
    return metrics


def used_for(pictures: Sequence[Picture], split_of: Mapping[str, str], stops_on_val: bool) -> UsedFor:
    """Return what a training used `pictures` for, or any of them, as that makes their metrics too good.

    split_of: digest of each image of the training -> its split there. stops_on_val: as for `measure_splits`.
    """
    known = {split_of.get(p.digest) for p in pictures}
    if "train" in known:
        return "training" if known == {"train"} else "partly training"
    return "stopping" if stops_on_val and "val" in known else "measuring"
