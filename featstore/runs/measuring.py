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
    use_of_val: UsedFor,
) -> dict[str, Metrics]:
    """Return the metrics of each split of a classifier's own data set.

    Args:
        probabilities: (n, classes) by split.
        pictures: The n labelled images of each split; those of one group, and copies, count as one in the intervals.
        classes: Names of the columns.
        use_of_val: What the validation split was used for.
    """
    from featstore.evaluation.metrics import compute_metrics
    from featstore.features.arrays import labels_of, units_of

    # of several copies of an image, one in train counts, as in the splits that a run keeps
    split_of = {p.digest: split for split in ("test", "val", "train") for p in pictures.get(split, ())}
    metrics = {}
    for split, found in probabilities.items():
        some = pictures[split]
        use = used_for(some, split_of, use_of_val)
        metrics[split] = compute_metrics(found, labels_of(some), classes, units_of(some), use)
    return metrics


def use_of_validation(*, chooses: bool, stops: bool, calibrates: bool) -> UsedFor:
    """Return the use of a validation split that flatters most: a choice of the head, of the epoch, or none of these."""
    if chooses:
        return "choosing"
    return "stopping" if stops else "calibrating" if calibrates else "measuring"


def used_for(pictures: Sequence[Picture], split_of: Mapping[str, str], use_of_val: UsedFor) -> UsedFor:
    """Return what a training used `pictures` for, or any of them, as that makes their metrics too good.

    split_of: digest of each image of the training -> its split there. use_of_val: as for `measure_splits`.
    """
    known = {split_of.get(p.digest) for p in pictures}
    if "train" in known:
        return "training" if known == {"train"} else "partly training"
    return use_of_val if "val" in known else "measuring"
