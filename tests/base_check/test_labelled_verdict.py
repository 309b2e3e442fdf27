"""The verdict of a check with labels: a table of situations, each with what must be said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from featstore.base_check.accuracies import accuracies_of, measure
from featstore.base_check.class_index import ClassIndex
from featstore.base_check.findings import FEW_IMAGES, Judgement
from featstore.base_check.labelled_verdict import Evidence, judge_accuracies
from featstore.base_check.variants import Variants
from featstore.evaluation.units import Units

Array = NDArray[np.float64]
N = 200
NAMES = ClassIndex(tuple(np.random.default_rng(5).permutation([f"animal {n:04}" for n in range(1000)])))


def truth_of(n: int = N, classes: int = 1000, seed: int = 0) -> NDArray[np.intp]:
    return np.random.default_rng(seed).integers(1, classes - 1, n)


def sees(truth: NDArray[np.intp], share: float, classes: int = 1000, seed: int = 1) -> Array:
    """Probabilities of a network that recognises this share of the images, and is as sure of its mistakes."""
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(len(truth)) < share, truth, rng.integers(0, classes, len(truth)))
    rows = rng.random((len(truth), classes)) / classes / 10
    rows[np.arange(len(truth)), said] = 0.9
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def constant(truth: NDArray[np.intp], said: int = 987, classes: int = 1000) -> Array:
    """Probabilities of a network that says the same of all images."""
    rows = np.full((len(truth), classes), 0.1 / classes)
    rows[:, said] = 0.9
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def judge(
    outputs: Mapping[str, Array],
    truth: NDArray[np.intp],
    *,
    asked: tuple[str, ...] = (),
    own: str | None = "keras",
    published: float | None = 0.7,
    index: ClassIndex = NAMES,
    random: bool = False,
    images: int | None = None,
) -> Judgement:
    units = Units.single(len(truth))
    classes = next(iter(outputs.values())).shape[1]
    measured = [measure(name, ("224x224",), 1, rows, truth) for name, rows in outputs.items()]
    return judge_accuracies(
        Evidence(
            measured=measured,
            rows=accuracies_of(measured, units, 0.01, index),
            variants=Variants(tuple(outputs), asked or tuple(outputs), own, own and "tf"),
            truth=truth,
            classes=classes,
            index=index,
            units=units,
            error=0.01,
            images=len(truth) if images is None else images,
            published=published,
            is_published=own is not None,
            has_random_weights=random,
        )
    )


def three(keras: float, rescale: float, raw: float, truth: NDArray[np.intp]) -> dict[str, Array]:
    return {"keras": sees(truth, keras), "rescale": sees(truth, rescale), "raw": sees(truth, raw, seed=2)}


def one_higher(truth: NDArray[np.intp]) -> NDArray[np.intp]:
    return truth + 1


def one_lower(truth: NDArray[np.intp]) -> NDArray[np.intp]:
    return truth - 1


def as_text(truth: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.argsort(sorted(range(1000), key=str))[truth]


def by_name(truth: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.argsort(np.argsort(NAMES.names))[truth]


def shuffled(truth: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.random.default_rng(3).permutation(truth)


class Situation(NamedTuple):
    outputs: Callable[[NDArray[np.intp]], dict[str, Array]]
    finding: str
    says: str
    best: str | None = None
    labels: Callable[[NDArray[np.intp]], NDArray[np.intp]] = np.asarray
    options: Mapping[str, object] = {}


RIGHT, WRONG = (lambda t: three(0.7, 0.3, 0.0, t)), (lambda t: {"keras": sees(t, 0.7), "raw": sees(t, 0, seed=2)})
SITUATIONS = {
    "right": Situation(RIGHT, "right", "`keras` (for this base `tf`) is right: top-1 0.", "keras"),
    "wrong alone": Situation(
        WRONG, "right", "`raw` is wrong for this base: top-1 0.0", "keras", options={"asked": ("raw",)}
    ),
    "1/255 alone": Situation(
        lambda t: {"keras": sees(t, 0.7), "rescale": sees(t, 0.69)},
        "not distinguished",
        "`rescale` is not what this base was trained with. `keras` (for this base `tf`), measured for comparison, is",
        "keras",
        options={"asked": ("rescale",)},
    ),
    "own alone": Situation(lambda t: {"keras": sees(t, 0.7)}, "not distinguished", "no other was tried", "keras"),
    "alike": Situation(
        lambda t: {"keras": sees(t, 0.7), "torch": sees(t, 0.72), "raw": sees(t, 0, seed=2)},
        "not distinguished",
        "`torch` is not significantly different on these images; the next, `raw`",
        "keras",
    ),
    "another": Situation(
        lambda t: three(0.3, 0.8, 0, t), "another is better", "These weights seem to be trained otherwise", "rescale"
    ),
    "counted from 1": Situation(
        RIGHT, "labels do not fit", "one too high, as if counted from 1. As given", labels=one_higher
    ),
    "one too low": Situation(RIGHT, "labels do not fit", "they are one too low", labels=one_lower),
    "sorted as text": Situation(RIGHT, "labels do not fit", "places of folders sorted as text", labels=as_text),
    "sorted by name": Situation(RIGHT, "labels do not fit", "in the order of their names", labels=by_name),
    "shuffled": Situation(
        RIGHT, "labels do not fit", "so it tells the images apart. Likely are labels", labels=shuffled
    ),
    "no weights": Situation(
        lambda t: {"keras": constant(t), "raw": constant(t, 4)},
        "weights do not fit",
        f"it predicts {NAMES.names[987]} for all images: likely are weights",
    ),
    "random weights": Situation(
        lambda t: {"keras": constant(t)}, "weights do not fit", "The weights are random", options={"random": True}
    ),
    "half of the weights": Situation(
        lambda t: three(0.12, 0.02, 0, t), "far below expected", "far below what is expected: published is 0.700"
    ),
    "nothing published": Situation(
        lambda t: three(0.08, 0.02, 0, t),
        "far below expected",
        "networks of this kind have 0.400",
        options={"published": None},
    ),
    "own file": Situation(
        lambda t: {"tf": sees(t, 0.6), "raw": sees(t, 0, seed=2)},
        "best of those tried",
        "`tf` is best of the 2 tried: top-1 0.",
        "tf",
        options={"own": None},
    ),
    "own file, one variant": Situation(
        lambda t: {"raw": sees(t, 0.4)},
        "best of those tried",
        "`raw` is the only one tried: top-1 0.",
        "raw",
        options={"own": None},
    ),
    "own file, all wrong": Situation(
        lambda t: {"raw": constant(t)},
        "nothing fits",
        "Likely are weights that were never trained, are damaged or belong to another network, or a preprocessing that",
        options={"own": None},
    ),
    "own file, shuffled": Situation(
        lambda t: {"raw": sees(t, 0.7)}, "nothing fits", "or a preprocessing", labels=shuffled, options={"own": None}
    ),
    "copies of one image": Situation(
        RIGHT, "cannot tell", "cannot tell: 3 different images are too few", options={"images": 3}
    ),
    "one class": Situation(
        lambda t: {"keras": constant(t, 7)}, "cannot tell", "all images have one label", labels=lambda t: t * 0 + 7
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_gets_its_verdict(name: str) -> None:
    """The word for machines, the variant that is named, and the sentence for people."""
    situation = SITUATIONS[name]
    truth = truth_of()
    found = judge(situation.outputs(truth), situation.labels(truth), **situation.options)  # type: ignore[arg-type]
    assert (found.finding, found.best) == (situation.finding, situation.best)
    assert situation.says in found.verdict
    assert ("is right" in found.verdict) == (found.finding == "right")


@pytest.mark.parametrize("n", [2, 5, FEW_IMAGES - 1])
def test_few_images_are_no_verdict(n: int) -> None:
    """With five images, four right ones are far above chance, and still no proof of one variant."""
    truth = truth_of(n)
    found = judge({"keras": sees(truth, 1.0), "raw": sees(truth, 0.0)}, truth)
    assert (found.finding, found.best) == ("cannot tell", None)
    assert "So far `keras` has top-1 1.000" in found.verdict


@pytest.mark.parametrize("seed", range(12))
def test_guessing_is_never_right(seed: int) -> None:
    """Six variants of a network that knows nothing: one of them is always best."""
    truth = truth_of(260, seed=seed)
    outputs = {name: sees(truth, 0, seed=100 * seed + k) for k, name in enumerate(["keras", *"abcde"])}
    assert judge(outputs, truth).best is None
    ten = truth_of(260, 10, seed)
    outputs = {name: sees(ten, 0, 10, 100 * seed + k) for k, name in enumerate(["a", *"bcdef"])}
    assert judge(outputs, ten, own=None, index=ClassIndex(())).finding in ("nothing fits", "labels do not fit")


def test_a_constant_answer_is_guessing_however_common_its_class() -> None:
    """90 of 100 images of one class: a network that says nothing else is right in 90 %."""
    truth = np.array([0] * 90 + [1] * 10)
    found = judge({"raw": constant(truth, 0, 2)}, truth, own=None, index=ClassIndex(()))
    assert (found.finding, found.best) == ("nothing fits", None)
    assert "that of guessing (0.900)" in found.verdict


def test_any_other_order_of_few_classes_is_found() -> None:
    """Own classes have no usual order; many images of each show it."""
    truth = truth_of(100, 10)
    order = np.random.default_rng(1).permutation(10)
    found = judge({"tf": sees(truth, 0.9, 10), "raw": sees(truth, 0, 10)}, order[truth], own=None, index=ClassIndex(()))
    assert found.finding == "labels do not fit"
    assert "another order" in found.verdict


def test_less_than_published_is_told_where_it_is_more_than_noise() -> None:
    """The images of a user may be harder, and that is no reason for doubt by itself."""
    truth = truth_of()
    said = {share: judge(three(share, 0.1, 0.0, truth), truth).verdict for share in (0.5, 0.7)}
    assert "validation images: 0.700, which is more than here: these images may be harder" in said[0.5]
    assert said[0.7].endswith("validation images: 0.700")


def test_right_labels_are_left_alone_where_neighbours_are_alike() -> None:
    """A network that is often one class off, as between breeds of dogs."""
    truth = truth_of()
    off = np.where(np.random.default_rng(0).random(N) < 0.3, 1, 0)
    assert judge({"keras": sees(truth + off, 1.0), "raw": sees(truth, 0)}, truth).finding == "right"
