"""Cells measured on the same images, ranked, with intervals that allow for the choice of the best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.paired import Difference
from featstore.evaluation.repeats import Repeats
from featstore.evaluation.simultaneous import single_error
from featstore.evaluation.units import ERROR, Units

_PRUDENCE = 0.6  # of the error: with 0.8, 4.7 % of 1,200 simulated grids of equal cells had a claim, instead of 4 %
_CHOICE = 0.005  # of the error of the best one's interval, the part that is spent on finding what else may be the best


class CellResult(NamedTuple):
    """The result of one cell on the held-out images, which are the same for all cells and in the same order.

    Attributes:
        factors: Level of each factor, as in {"model": "VGG16", "preprocess": "keras"}.
        right: (n,) share of the repetitions, 0 to 1, in which the prediction for the image was right.
        log_loss: Mean over images and repetitions, in nats.
        repeats: The repetitions that `right` is the mean of, if they share their training images.
    """

    factors: Mapping[str, str]
    right: NDArray[np.float64]
    log_loss: float
    repeats: Repeats | None = None

    @property
    def measured(self) -> Repeats:
        """What was measured."""
        return self.repeats or Repeats.once(self.right)


class RankedCell(NamedTuple):
    """A cell in the ranking; `position` is its index in the input."""

    position: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    difference_to_best: Difference


def rank(cells: Sequence[CellResult], units: Units, together: float) -> list[RankedCell]:
    """Return the cells, best first: by accuracy, then by log loss, then as given.

    Differences to the best hold together with all others that `compared` yields if `together` is their `joint_error`;
    that of the best to itself is 0, from 0 to 0. The interval of a cell that may be the best allows for that choice: it
    holds for whichever of these cells is named (locally simultaneous, Zrnic & Fithian 2024, Annals of Statistics
    52:1227).
    """
    accuracies = [float(cell.right.mean()) for cell in cells]
    # rounded: shares of three seeds that add up to the same accuracy may differ in the last bit
    order = sorted(range(len(cells)), key=lambda i: (-round(accuracies[i], 12), cells[i].log_loss, i))
    best, near = order[0], _may_be_best(cells, order[0], units)
    error = ERROR
    if len(cells) > 1:
        error = single_error(_right([cells[i] for i in near]), np.eye(len(near)), units, ERROR - _CHOICE)
    ranked = []
    for index in order:
        measured = cells[index].measured
        difference = Difference(0.0, 0.0, 0.0)
        if index != best:
            difference = measured.minus(cells[best].measured, units, together)
            difference = difference._replace(value=min(0.0, difference.value))  # that last bit again
        own_units = units.worth_less(measured.effect(units))
        interval = accuracy_interval(measured.mean_right, own_units, error if index in near else ERROR)
        ranked.append(RankedCell(index, accuracies[index], interval, difference))
    return ranked


def joint_error(cells: Sequence[CellResult], units: Units, error: float = ERROR) -> float:
    """Return the error of each interval with which all comparisons of `cells` hold together; see `single_error`."""
    if len(cells) < 3:
        return error
    return single_error(_right(cells), np.array(list(compared(cells))).T, units, _PRUDENCE * error)


def compared(cells: Sequence[CellResult]) -> Iterator[NDArray[np.float64]]:
    """Yield the weights (cells,) of each comparison that the ranking and the findings may make.

    These are all pairs of cells, since which of them is the best is not known beforehand. There are also all pairs of
    levels of a factor, over the cells that agree in the rest: all of these, and those at one level of another factor.
    """
    yield from (_weights([pair], len(cells)) for pair in combinations(range(len(cells)), 2))
    for factor in dict.fromkeys(name for cell in cells for name in cell.factors):
        levels: dict[str, dict[tuple[tuple[str, str], ...], int]] = {}
        for index, cell in enumerate(cells):
            rest = tuple(sorted((name, level) for name, level in cell.factors.items() if name != factor))
            levels.setdefault(cell.factors[factor], {})[rest] = index
        for one, other in combinations(levels.values(), 2):
            shared = [rest for rest in one if rest in other]
            for fixed in [None, *dict.fromkeys(item for rest in shared for item in rest)]:
                pairs = [(one[rest], other[rest]) for rest in shared if fixed is None or fixed in rest]
                if len(pairs) > 1:
                    yield _weights(pairs, len(cells))


def _weights(pairs: Sequence[tuple[int, int]], cells: int) -> NDArray[np.float64]:
    """Return the weights (cells,) of the mean difference over `pairs` of cells."""
    weights = np.zeros(cells)
    for one, other in pairs:
        weights[one] += 1 / len(pairs)
        weights[other] -= 1 / len(pairs)
    return weights


def _may_be_best(cells: Sequence[CellResult], best: int, units: Units) -> list[int]:
    """Return the cells that might have come out best on other images: less than two half intervals below `best`."""
    error = joint_error(cells, units, _CHOICE)
    lags = [cell.measured.minus(cells[best].measured, units, error) for cell in cells]
    return [i for i, lag in enumerate(lags) if i == best or 2 * lag.high - lag.value >= 0]


def _right(cells: Sequence[CellResult]) -> NDArray[np.float64]:
    return np.stack([cell.right for cell in cells], axis=1)
