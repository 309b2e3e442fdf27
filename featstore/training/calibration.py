"""What the validation split says of the probabilities: the temperature, and the scores of sets of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from featstore.datasets.manifest import Picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.units import Units


def temperature_for(
    probabilities: Mapping[str, NDArray[np.float64]],
    pictures: Mapping[str, Sequence[Picture]],
    classes: Sequence[str],
) -> float | None:
    """Return the temperature for the `probabilities` of a head by split; None without images to choose it."""
    from featstore.evaluation.temperature import choose_temperature

    fair = _fair_images(probabilities, pictures, classes)
    return None if fair is None else choose_temperature(*fair)


def scores_for(
    probabilities: Mapping[str, NDArray[np.float64]],
    pictures: Mapping[str, Sequence[Picture]],
    classes: Sequence[str],
) -> tuple[float, ...] | None:
    """Return the scores for sets of classes, from the final `probabilities` by split; None without images for them."""
    from featstore.evaluation.conformal import scores_of

    fair = _fair_images(probabilities, pictures, classes)
    return None if fair is None else scores_of(*fair)


def _fair_images(
    probabilities: Mapping[str, NDArray[np.float64]],
    pictures: Mapping[str, Sequence[Picture]],
    classes: Sequence[str],
) -> tuple[NDArray[np.float64], NDArray[np.intp], Units] | None:
    """Return probabilities, classes and units of the validation images; None if there are none.

    A copy of a training image is left out: the head knows it, and is surer of it than of a new one.
    """
    import numpy as np

    from featstore.features.arrays import classes_of, units_of

    trained = {p.digest for p in pictures["train"]}
    is_new = np.array([p.digest not in trained for p in pictures.get("val", ())], bool)
    if not is_new.any():
        return None
    some = [p for p, new in zip(pictures["val"], is_new, strict=True) if new]
    return probabilities["val"][is_new], classes_of(some, classes), units_of(some)
