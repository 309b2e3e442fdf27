"""How often intervals hold the truth, and how often a comparison claims what is not so, by simulation.

Groups are drawn as patients are: a patient's images are right with a probability of the patient's own, which varies
from patient to patient as the correlation says (beta-binomial). Cells of a grid are right on partly the same images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import erf, sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.comparison.findings import describe_findings
from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.paired import paired_difference
from featstore.evaluation.ranking import CellResult, joint_error, rank
from featstore.evaluation.repeats import Repeats
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


@dataclass(frozen=True)
class CrossValidated:
    """A cross-validation on `n` images of two classes, with `width` values each, repeated with `seeds`."""

    n: int
    width: int = 5
    seeds: int = 1
    folds: int = 5

    def draw(self, random: np.random.Generator) -> tuple[Repeats, NDArray[np.float64]]:
        """Return what the classifiers of all folds were right about, and the true accuracy (seeds, folds) of each.

        They are linear discriminants: with 50 values and 30 images they vary much with the images of their training.
        """
        y = random.permutation(np.arange(self.n) % 2)
        X = random.normal(size=(self.n, self.width)) + 0.9 / sqrt(self.width) * (2 * y[:, None] - 1)
        right = np.zeros((self.seeds, self.n))
        fold = np.zeros(right.shape, np.intp)
        truths = np.zeros((self.seeds, self.folds))
        for seed in range(self.seeds):
            for label in (0, 1):
                fold[seed, random.permutation(np.flatnonzero(y == label))] = np.arange((y == label).sum()) % self.folds
            for k in range(self.folds):
                out = fold[seed] == k
                w, offset = _discriminant(X[~out], y[~out])
                right[seed, out] = (X[out] @ w > offset) == (y[out] == 1)
                centre = 0.9 / sqrt(self.width) * w.sum()
                margins = [(centre - sign * offset) / np.linalg.norm(w) for sign in (-1, 1)]
                truths[seed, k] = np.mean([0.5 * (1 + erf(margin / sqrt(2))) for margin in margins])
        return Repeats(right, fold), truths

    def __str__(self) -> str:
        times = f", {self.seeds} times" if self.seeds > 1 else ""
        return f"{self.n} images of {self.width} values, {self.folds} folds{times}"


def _discriminant(X: NDArray[np.float64], y: NDArray[np.intp]) -> tuple[NDArray[np.float64], float]:
    """Return the weights and the threshold of a linear discriminant, with a small ridge."""
    means = [X[y == label].mean(axis=0) for label in (0, 1)]
    around = X - np.where(y[:, None] == 1, means[1], means[0])
    w = np.linalg.solve(around.T @ around + 0.01 * len(y) * np.eye(X.shape[1]), means[1] - means[0])
    return w, float(w @ (means[0] + means[1]) / 2)


CROSS_VALIDATED = [CrossValidated(n, width, seeds) for width in (5, 50) for n in (30, 100, 400) for seeds in (1, 5)]


class FoldRates(NamedTuple):
    """How often an interval holds the true accuracy of the classifiers and the expected one, and its mean length."""

    heads: float
    expected: float
    length: float

    def __str__(self) -> str:
        return f"{self.heads:.3f} and {self.expected:.3f}, {self.length:.3f} long"


def cover_cross_validation(case: CrossValidated, sets: int, seed: int = 0) -> tuple[FoldRates, FoldRates, FoldRates]:
    """Return the rates of three intervals: of images measured once, ours, and that of Nadeau and Bengio."""
    from scipy.stats import t

    random, units = np.random.default_rng(seed), Units.single(case.n)
    truths, found = [], []
    for _ in range(sets):
        repeats, truth = case.draw(random)
        truths.append(float(truth.mean()))
        heads = repeats.by_fold
        deviation = float(np.sqrt(heads.var(ddof=1) * (1 / heads.size + 1 / (case.folds - 1))))
        half = float(t.ppf(0.975, heads.size - 1)) * deviation
        mean = float(heads.mean())
        ours = accuracy_interval(repeats.mean_right, units.worth_less(repeats.effect(units)))
        found.append([accuracy_interval(repeats.mean_right), ours, (max(0.0, mean - half), min(1.0, mean + half))])
    ends, of_heads = np.array(found), np.array(truths)[:, None]

    def hold(truth: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.asarray(((ends[..., 0] <= truth) & (truth <= ends[..., 1])).mean(axis=0))

    lengths = (ends[..., 1] - ends[..., 0]).mean(axis=0)
    rates = zip(hold(of_heads), hold(float(of_heads.mean())), lengths, strict=True)
    once, ours, corrected = (FoldRates(*map(float, figures)) for figures in rates)
    return once, ours, corrected


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
    for case in CROSS_VALIDATED:
        once, ours, corrected = cover_cross_validation(case, grids)
        yield f"  {case!s:44} as measured once {once}; ours {ours}; Nadeau and Bengio {corrected}"
    for sample in (*SINGLE, *(s for s in GROUPED if s.correlation == 0.5)):
        claims, held = judge_equal_cells(sample, grids)
        yield f"  {sample!s:44} 24 equal cells: any claim {claims:.3f}, best interval holds {held:.3f}"
