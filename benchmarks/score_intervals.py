"""How often the intervals of scores hold the truth, and those of a bootstrap, by simulation.

Images are points around the centre of their class. A head knows the centres, so its probabilities are exact, but their
logits may be multiplied. Images of a group share a part of their distance from the centre.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.answer_scores import macro_f1
from featstore.evaluation.rank_scores import rank_scores
from featstore.evaluation.reliability import measure_reliability
from featstore.evaluation.scores import measure_scores
from featstore.evaluation.units import Units

SCORES = ("macro_f1", "matthews", "auroc", "average_precision", "brier")
_POPULATION = 200_000  # images, from which the truth is taken
_DRAWS = 200  # of a bootstrap

Answers = tuple[NDArray[np.float64], NDArray[np.intp]]  # probabilities (n, classes), and the class of each image


@dataclass(frozen=True)
class Test:
    """A simulated test split.

    sizes: shares of the classes. apart: distance of the centres, in standard deviations. sure: factor of the logits.
    group: images in a group, which share half of their variance.
    """

    n: int
    sizes: tuple[float, ...]
    apart: float
    sure: float = 1.0
    group: int = 1

    def draw(self, n: int, random: np.random.Generator) -> Answers:
        """Return the answers for `n` images."""
        truth = random.choice(len(self.sizes), n // self.group, p=self.sizes).repeat(self.group)
        own = random.normal(size=(len(truth), len(self.sizes)))
        if self.group > 1:
            shared = random.normal(size=(len(truth) // self.group, len(self.sizes))).repeat(self.group, axis=0)
            own = (own + shared) / math.sqrt(2)
        own[np.arange(len(truth)), truth] += self.apart
        odds = np.exp(self.sure * (self.apart * own + np.log(self.sizes)))
        return odds / odds.sum(axis=1, keepdims=True), truth

    def __str__(self) -> str:
        rare = f", {100 * min(self.sizes):g} % of the rarest" if len(set(self.sizes)) > 1 else ""
        groups = f" in groups of {self.group}" if self.group > 1 else ""
        return f"{self.n} images{groups}, {len(self.sizes)} classes{rare}"


TESTS = [
    Test(30, (0.5, 0.5), 1.0),
    Test(30, (0.5, 0.5), 2.5),
    Test(100, (0.5, 0.5), 4.0),
    Test(100, (0.9, 0.1), 2.0, sure=2.0),
    Test(400, (0.97, 0.03), 2.0),
    Test(100, (0.2,) * 5, 2.0),
    Test(300, (0.1,) * 10, 3.0, sure=2.0),
    Test(100, (0.5, 0.5), 2.0, group=5),
    Test(400, (0.2,) * 5, 3.0, sure=2.0, group=10),
]


def cover_scores(test: Test, sets: int, seed: int = 0) -> dict[str, float]:
    """Return the share of data sets whose interval holds the true score, for each score and the calibration error."""
    random = np.random.default_rng(seed)
    truth = _true_values(test.draw(_POPULATION, random))
    held: dict[str, list[bool]] = {name: [] for name in truth}
    for _ in range(sets):
        probabilities, classes = test.draw(test.n, random)
        units = Units(np.arange(len(classes)) // test.group)
        found = asdict(measure_scores(probabilities, classes, units))
        reliability = measure_reliability(probabilities, classes, units)
        found["calibration_error_ci95"] = reliability and reliability.calibration_error_ci95
        for name, value in truth.items():
            if (ends := found[f"{name}_ci95"]) is not None:
                held[name].append(ends[0] <= value <= ends[1])
    return {name: float(np.mean(some)) for name, some in held.items()}


def cover_bootstrap(test: Test, sets: int, seed: int = 0) -> dict[str, float]:
    """Return the same for macro F1 and AUROC and the percentiles of a bootstrap of the groups."""
    random = np.random.default_rng(seed)
    truth = _true_values(test.draw(_POPULATION, random))
    held: dict[str, list[bool]] = {"macro_f1": [], "auroc": []}
    for _ in range(sets):
        probabilities, classes = test.draw(test.n, random)
        drawn: dict[str, list[float]] = {name: [] for name in held}
        for _ in range(_DRAWS):
            groups = random.integers(0, test.n // test.group, test.n // test.group)
            some = (groups[:, None] * test.group + np.arange(test.group)).ravel()
            f1 = macro_f1(probabilities[some].argmax(axis=1), classes[some])
            area = rank_scores(probabilities[some], classes[some]).auroc
            drawn["macro_f1"].append(f1.value)
            drawn["auroc"] += [area.value] if area else []
        for name, values in drawn.items():
            low, high = np.quantile(values, (0.025, 0.975)) if values else (0.0, 0.0)
            held[name].append(bool(low <= truth[name] <= high))
    return {name: float(np.mean(some)) for name, some in held.items()}


def measure_score_intervals(_data: Path, _work: Path) -> None:
    """Print the rates, each from seeded draws."""
    for text in _lines():
        print(text, flush=True)


def _lines(sets: int = 1000, bootstraps: int = 200) -> Iterator[str]:
    for test in TESTS:
        yield f"  {test}, accuracy {_accuracy(test):.3f}"
        yield f"    the intervals hold {_listed(cover_scores(test, sets))}"
        yield f"    those of a bootstrap {_listed(cover_bootstrap(test, bootstraps))}"


def _accuracy(test: Test) -> float:
    probabilities, classes = test.draw(_POPULATION, np.random.default_rng(0))
    return float((probabilities.argmax(axis=1) == classes).mean())


def _listed(rates: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {rate:.2f}" for name, rate in rates.items())


def _true_values(answers: Answers) -> dict[str, float]:
    single = Units.single(len(answers[1]))
    scores, reliability = asdict(measure_scores(*answers, single)), measure_reliability(*answers, single)
    assert reliability is not None
    return {name: scores[name] for name in SCORES} | {"calibration_error": reliability.calibration_error}
