"""The verdict: whether fine-tuning made the network better than the cached head, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from featstore.system.figures import figures

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.paired import Difference
    from featstore.evaluation.units import Units
    from featstore.heads.loop import Training

LEAST_GAIN = 1e-3  # nats of validation loss: a smaller gain is rounding


class Verdict(NamedTuple):
    """Whether the network is better than the head on the validation split, and the reason as text."""

    beats_head: bool
    text: str


def judge(head_folder: Path, training: Training, difference: Difference | None) -> Verdict:
    """Return the verdict of the validation split.

    The validation loss must fall, and the accuracy must not be significantly lower. `difference` is the accuracy after
    training minus that before on the validation split; None without such a split.
    """
    stays = f"{head_folder} stays the recommended run"
    losses, accuracies = (training.history.get(name, []) for name in ("val_loss", "val_accuracy"))
    if not losses:
        return Verdict(False, f"a validation split is missing, so the network and the head cannot be compared: {stays}")
    best = training.best_epoch
    if losses[best] > losses[0] - LEAST_GAIN:
        head, network = figures(losses[0], min(losses[1:]), limits=(0.0,))
        return Verdict(
            False,
            f"no epoch has a validation loss that is lower than that of the cached head by {LEAST_GAIN:g} or more "
            f"(log loss {head}, at best {network} in {training.epochs} epochs): {stays}",
        )
    loss = " -> ".join(figures(losses[0], losses[best], limits=(0.0,)))
    change = f"log loss {loss}, accuracy {' -> '.join(figures(accuracies[0], accuracies[best]))}"
    if difference is not None and difference.high < 0:
        return Verdict(False, f"the accuracy on validation is significantly lower ({change}): {stays}")
    return Verdict(True, f"epoch {best} of {training.epochs} has the lowest validation loss, which chose it ({change})")


def contradiction(verdict: Verdict, on_test: Difference | None) -> list[str]:
    """Return a remark if the network is recommended, but is significantly less accurate on the test split.

    The choice stays: a run that the test split chose would have no fair test.
    """
    if not verdict.beats_head or on_test is None or on_test.high >= 0:
        return []
    return [
        f"recommended by the validation split, although the accuracy on test is significantly lower: "
        f"{on_test.in_points()}"
    ]


def compare_accuracies(
    before: NDArray[np.float64], after: NDArray[np.float64], targets: NDArray[np.intp], units: Units
) -> Difference:
    """Return the accuracy of the probabilities `after` (n, classes) minus that of `before`, on the same images."""
    from featstore.evaluation.paired import paired_difference

    right_after, right_before = ((p.argmax(axis=1) == targets).astype(float) for p in (after, before))
    return paired_difference(right_after, right_before, units)


def describe_difference(difference: Difference, count: int, split: str) -> str:
    """Return the difference in points, the images that it was measured on, and whether it is significant.

    Images that chose the epoch or were trained on show a gain that others do not have, so there it is not judged.
    """
    if split != "test":
        use = "chose the epoch" if split == "val" else "were trained on"
        return f"{difference.in_points()} on the {count} {split} images that {use}: no fair measure"
    significance = "significant" if difference.is_significant else "not significant"
    return f"{difference.in_points()} on {count} {split} images: {significance}"
