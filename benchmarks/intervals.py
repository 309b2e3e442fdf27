"""How often intervals hold the truth, and how often a comparison claims what is not so, by simulation.

Groups are drawn as patients are: a patient's images are right with a probability of the patient's own, which varies
from patient to patient as the correlation says (beta-binomial). Cells of a grid are right on partly the same images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featstore.comparison.findings import describe_findings
from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.paired import paired_difference
from featstore.evaluation.ranking import CellResult, joint_error, rank
from featstore.evaluation.units import Units


@dataclass(frozen=True)
class Sample:
    """The images of a simulated test split: groups of these `sizes`, whose answers correlate."""

    sizes: tuple[int, ...]
    correlation: float = 0.0

    @property
    def units(self) -> Units:
        return Units(np.repeat(np.arange(len(self.sizes)), self.sizes).astype(str))

    def right(self, accuracy: float, random: np.random.Generator, cells: int = 1) -> NDArray[np.float64]:
        """Return (images, cells) of 1 and 0 with this accuracy; the cells are independent of each other."""
        shape = (len(self.sizes), cells)
        if self.correlation == 0:
            chance = np.full(shape, accuracy)
        elif self.correlation == 1:
            chance = (random.random(shape) < accuracy).astype(float)
        else:
            spread = 1 / self.correlation - 1
            chance = random.beta(accuracy * spread, (1 - accuracy) * spread, shape)
        return (random.random((sum(self.sizes), cells)) < np.repeat(chance, self.sizes, axis=0)).astype(float)

    def __str__(self) -> str:
        text = f"{sum(self.sizes)} images"
        if max(self.sizes) == 1:
            return text
        counts = ", ".join(f"{self.sizes.count(size)} of {size}" for size in dict.fromkeys(self.sizes))
        return f"{text} in groups, {counts}, correlation {self.correlation:g}"


SINGLE = [Sample((1,) * n) for n in (30, 100, 400)]
EQUAL = [Sample((size,) * (n // size), c) for n, size in ((30, 3), (100, 5), (400, 10)) for c in (0.2, 0.5, 1.0)]
UNEQUAL = [Sample((1,) * 30 + (35,) * 2, 0.5), Sample((4,) * 50 + (40,) * 5, 0.5)]
GROUPED = [*EQUAL, *UNEQUAL]


def cover_accuracy(sample: Sample, sets: int, seed: int = 0) -> float:
    """Return the share of data sets whose interval holds the true accuracy, which is drawn from 0.5 to 0.95."""
    random, units, held = np.random.default_rng(seed), sample.units, 0
    for _ in range(sets):
        accuracy = random.uniform(0.5, 0.95)
        low, high = accuracy_interval(sample.right(accuracy, random)[:, 0], units)
        held += low <= accuracy <= high
    return held / sets


def cover_difference(sample: Sample, sets: int, seed: int = 0) -> float:
    """Return the share of data sets whose interval holds the true difference of two cells that are half alike."""
    random, units, held = np.random.default_rng(seed), sample.units, 0
    for _ in range(sets):
        one, other = random.uniform(0.5, 0.95, 2)
        a, own = (sample.right(accuracy, random)[:, 0] for accuracy in (one, other))
        b = np.where(random.random(len(a)) < 0.5, a, own)
        found = paired_difference(a, b, units)
        held += found.low <= (one - other) / 2 <= found.high
    return held / sets


def cover_cross_validation(n: int, sets: int, folds: int = 5, seed: int = 0) -> float:
    """Return the share of data sets whose interval holds the mean true accuracy of the classifiers of all folds."""
    from math import erf, sqrt

    random, held = np.random.default_rng(seed), 0
    fold = np.arange(n) % folds
    for _ in range(sets):
        shift = random.uniform(0.3, 1.5)
        y = random.permutation(np.arange(n) % 2)
        X = random.normal(size=(n, 5)) + shift / sqrt(5) * (2 * y[:, None] - 1)
        right, truths = np.zeros(n), []
        for k in range(folds):
            means = [X[(fold != k) & (y == c)].mean(axis=0) for c in (0, 1)]
            w, middle = means[1] - means[0], (means[0] + means[1]) / 2
            score = (X[fold == k] - middle) @ w
            right[fold == k] = (score > 0) == (y[fold == k] == 1)
            centre = shift / sqrt(5) * np.ones(5)
            margins = [(s * (s * centre - middle) @ w) / np.linalg.norm(w) for s in (-1, 1)]
            truths.append(np.mean([0.5 * (1 + erf(m / sqrt(2))) for m in margins]))
        low, high = accuracy_interval(right)
        held += low <= np.mean(truths) <= high
    return held / sets


def judge_equal_cells(sample: Sample, sets: int, grid: Sequence[int] = (6, 4), seed: int = 0) -> tuple[float, float]:
    """Return how often a grid of equally good cells gets any claim, and how often the best one's interval holds 0.5."""
    random, units, claims, held = np.random.default_rng(seed), sample.units, 0, 0
    variants, sizes = grid
    for _ in range(sets):
        shared, own = (sample.right(0.5, random, k) for k in (1, variants * sizes))
        follows = random.random(own.shape) < 0.5  # half of the images are right or wrong for all cells alike
        right = np.where(follows, shared, own)
        cells = [
            CellResult({"preprocess": f"v{i // sizes}", "size": f"s{i % sizes}"}, right[:, i], random.random())
            for i in range(variants * sizes)
        ]
        error = joint_error(cells, units)
        ranked = rank(cells, units, error)
        said = describe_findings(cells, ranked, units, error)
        differ = any(cell.difference_to_best.is_significant for cell in ranked)
        claims += differ or any("beats" in text or "depends" in text for text in said)
        low, high = ranked[0].accuracy_ci95
        held += low <= 0.5 <= high
    return claims / sets, held / sets


def measure_intervals(_data: Path, _work: Path) -> None:
    """Print the rates, each from seeded draws."""
    for text in _lines():
        print(text, flush=True)


def _lines(sets: int = 4000, grids: int = 500) -> Iterator[str]:
    for sample in (*SINGLE, *GROUPED):
        accuracy, difference = cover_accuracy(sample, sets), cover_difference(sample, sets)
        yield f"  {sample!s:44} holds the accuracy {accuracy:.3f}, a difference {difference:.3f}"
    for sample in SINGLE:
        yield f"  {sample!s:44} holds the accuracy of 5 folds {cover_cross_validation(len(sample.sizes), sets):.3f}"
    for sample in (*SINGLE, *(s for s in GROUPED if s.correlation == 0.5)):
        claims, held = judge_equal_cells(sample, grids)
        yield f"  {sample!s:44} 24 equal cells: any claim {claims:.3f}, best interval holds {held:.3f}"
