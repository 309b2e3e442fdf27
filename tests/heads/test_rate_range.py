"""The range test: the rates, the mean loss, where it ends, and what it suggests."""

from __future__ import annotations

import math

import numpy as np
import pytest

from featstore.errors import BaseUnavailable
from featstore.heads import rate_range
from featstore.heads.linear_head import LinearHead
from featstore.heads.rate_range import (
    HIGHEST,
    LOWEST,
    STEPS,
    RateRange,
    has_diverged,
    run_range_test,
    smooth,
    suggest_rate,
)


def found(losses: list[float]) -> RateRange:
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)[: len(losses)]
    return RateRange(tuple(rates), tuple(losses), smooth(losses), has_diverged(losses))


def falling(middle: float, noise: float = 0.0, floor: float = 0.2) -> list[float]:
    """Losses that fall from 1.5 to `floor`, half of it at the rate `middle`, and diverge above 1."""
    random, losses = np.random.default_rng(0), []
    for rate in np.geomspace(LOWEST, HIGHEST, STEPS):
        losses.append(floor + (1.5 - floor) / (1 + (rate / middle) ** 2) + noise * random.normal() + max(0, rate - 1))
    return losses


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("middle", [1e-4, 1e-3, 1e-2])
def test_the_rate_of_the_fall_is_suggested(middle: float, noise: float) -> None:
    """Within a factor of 3, also of noisy losses: the mean lags behind by some steps."""
    rate = suggest_rate(found(falling(middle, noise)))
    assert rate is not None
    assert middle / 1.5 < rate < 3 * middle


def test_a_loss_that_ends_in_no_number_does_not_matter() -> None:
    """The steps before it are judged."""
    losses = falling(1e-3)[:150]
    for last in (math.inf, math.nan):
        assert has_diverged([*losses, last])
        assert suggest_rate(found([*losses, last])) == suggest_rate(found(losses))


def test_nothing_is_suggested_where_no_rate_lowers_the_loss() -> None:
    """Shuffled labels, or features that say nothing."""
    random = np.random.default_rng(0)
    assert suggest_rate(found((0.7 + 0.02 * random.normal(size=STEPS)).tolist())) is None
    assert suggest_rate(found((0.7 + np.geomspace(1e-6, 1, 100)).tolist())) is None


def test_the_mean_has_no_bias_to_zero() -> None:
    """It begins at the first loss."""
    assert smooth([2.0] * 50) == pytest.approx([2.0] * 50)
    assert smooth([1.0, 2.0])[0] == 1.0


def test_the_end_is_far_above_the_smallest_loss() -> None:
    """A single large loss is noise."""
    losses = falling(1e-3)
    assert has_diverged(losses)
    assert not has_diverged(losses[:150])
    assert not has_diverged([*losses[:100], 3 * losses[99]])
    assert has_diverged([*losses[:100], *[20.0] * 10])
    assert not has_diverged([])


def test_keras_is_not_imported_before_its_settings_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import of Keras alone takes the backend of Keras' own file, other products, and fills the screen with logs."""

    def refuse() -> None:
        raise BaseUnavailable("the settings are refused")

    monkeypatch.setattr(rate_range, "load_tensorflow", refuse)
    with pytest.raises(BaseUnavailable, match="the settings are refused"):
        run_range_test(LinearHead(), np.zeros((2, 1), np.float32), np.arange(2), seed=0)


def test_a_head_is_tested_from_the_lowest_rate_until_it_diverges() -> None:
    """The same seed gives the same losses, and far smaller and far larger rates than the suggested one are worse."""
    random = np.random.default_rng(0)
    y = np.arange(300) % 3
    X = random.normal(size=(300, 20)).astype(np.float32)
    X[np.arange(300), y] += 1.5
    one, two = (run_range_test(LinearHead(), X, y, seed=0) for _ in range(2))
    assert one == two
    assert one.rates[0] == LOWEST
    assert len(one.rates) == len(one.losses) == len(one.smoothed) < STEPS
    assert one.diverged
    rate = suggest_rate(one)
    assert rate is not None
    losses = []
    for tried in (rate / 300, rate, 300 * rate):
        head = LinearHead(rate=tried, epochs=20)
        head.fit(X[:200], y[:200], (X[200:], y[200:]), 0)
        losses.append(-np.log(head.predict_proba(X[200:])[np.arange(100), y[200:]]).mean())
    assert min(losses) == losses[1]
