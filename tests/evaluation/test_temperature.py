"""Temperature scaling: right where there is much to learn from, and harmless where there is little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featstore.evaluation.metrics import log_losses
from featstore.evaluation.temperature import LIMITS, choose_temperature, scale
from featstore.evaluation.units import Units

Drawn = tuple[np.ndarray, np.ndarray]


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def draw(rng: np.random.Generator, n: int, right: float, classes: int = 4, spread: float = 3.0) -> Drawn:
    """Probabilities of a head whose right temperature is `right`, and the classes drawn for them."""
    logits = rng.normal(0, spread, (n, classes))
    truth = (rng.random((n, 1)) < softmax(logits / right).cumsum(axis=1)).argmax(axis=1)
    return softmax(logits), truth


@pytest.mark.parametrize("right", [0.5, 1.7, 4.0])
def test_the_right_temperature_is_found(right: float) -> None:
    """From 4,000 images within a tenth; the accuracy is the same, and the log loss is lower."""
    p, truth = draw(np.random.default_rng(0), 4000, right)
    temperature = choose_temperature(p, truth)
    assert temperature == pytest.approx(right, rel=0.1)
    scaled = scale(p, temperature)
    assert (scaled.argmax(axis=1) == p.argmax(axis=1)).all()
    assert log_losses(scaled, truth).mean() < log_losses(p, truth).mean()


def test_it_minimises_the_log_loss() -> None:
    """Next to the prior, which 4,000 images outweigh."""
    p, truth = draw(np.random.default_rng(1), 4000, 2.0)
    found = choose_temperature(p, truth)
    losses = [log_losses(scale(p, found * by), truth).mean() for by in (0.9, 1.0, 1.1)]
    assert min(losses) == losses[1]


@pytest.mark.parametrize("images", [5, 10, 20, 50, 200])
@pytest.mark.parametrize("spread", [1.0, 3.0, 10.0])
def test_a_head_that_is_as_sure_as_it_should_be_stays_so(images: int, spread: float) -> None:
    """On new images the log loss rises by less than 0.005 on average. Its smallest value alone would do real harm."""
    rng = np.random.default_rng(images)
    new, answers = draw(rng, 1000, 1.0, spread=spread)
    before, harm = log_losses(new, answers).mean(), []
    for _ in range(40):
        temperature = choose_temperature(*draw(rng, images, 1.0, spread=spread))
        harm.append(log_losses(scale(new, temperature), answers).mean() - before)
    assert np.mean(harm) < 0.005
    assert max(harm) < 0.1


@pytest.mark.parametrize("images", [1, 5, 20, 100])
def test_a_few_right_answers_make_no_head_as_sure_as_can_be(images: int) -> None:
    """The log loss of images that are all right is smallest at a temperature of 0."""
    for sure in (0.6, 0.9, 0.99):
        p = np.tile([sure, 1 - sure], (images, 1))
        scaled = scale(p, choose_temperature(p, np.zeros(images, int)))
        assert sure - 1e-9 <= scaled[0, 0] <= max(sure, 1 - 0.5 / (images + 2))


def test_images_of_a_group_count_as_one() -> None:
    """Ten photos of each of 40 patients say what 40 photos say."""
    p, truth = draw(np.random.default_rng(3), 40, 3.0)
    once = choose_temperature(p, truth)
    groups = Units(np.repeat(np.arange(40), 10))
    assert choose_temperature(p.repeat(10, axis=0), truth.repeat(10), groups) == pytest.approx(once)
    assert once > 1
    assert choose_temperature(p.repeat(10, axis=0), truth.repeat(10)) > once  # as if they were 400


def test_what_was_impossible_is_not_mended() -> None:
    """A head that gives the right class a probability of 0 would be flattened as far as is allowed."""
    p = np.tile([1.0, 0.0], (50, 1))
    assert choose_temperature(p, np.array([1] + [0] * 49)) == 1.0


@given(st.integers(0, 2**32 - 1), st.sampled_from([LIMITS[0], 0.7, 1.5, LIMITS[1]]))
def test_scaling_keeps_the_answer(seed: int, temperature: float) -> None:
    """Also of classes that are equal but for rounding; the result is the softmax of the divided logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 20, (20, 3))
    p = softmax(logits)
    assert scale(p, temperature) == pytest.approx(softmax(logits / temperature), abs=1e-9)
    near = np.array([[0.5 - 1e-16, 0.5], [1 / 3, 1 / 3 + 1e-16], [0.0, 1.0]])
    assert (scale(near, temperature).argmax(axis=1) == near.argmax(axis=1)).all()


def test_nothing_is_done_without_a_temperature() -> None:
    """Not even rounding."""
    p, _ = draw(np.random.default_rng(0), 10, 1.0)
    assert scale(p, None) is p
    assert scale(p, 1.0) is p
