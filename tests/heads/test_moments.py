"""The mean and deviation of features in one pass: as exact as in two, however large the mean is."""

from __future__ import annotations

import numpy as np
import pytest

from featstore.heads.moments import Moments
from helpers.counted_rows import CountedRows


@pytest.mark.parametrize("mean", [0.0, 1e4, -1e6])
def test_one_pass_is_as_exact_as_two(mean: float) -> None:
    """Sums of squares would have no digit left: of numbers near 1e6 with a deviation of 1 they cancel in float32."""
    rows = (mean + np.random.default_rng(0).normal(size=(3_000, 5))).astype(np.float32)
    found, exact = Moments.of(CountedRows(rows, block=700)), rows.astype(np.float64)
    assert found.rows == 3_000
    assert found.mean == pytest.approx(exact.mean(axis=0), rel=1e-12)
    assert found.deviation == pytest.approx(exact.std(axis=0), rel=1e-9)


@pytest.mark.parametrize("value", [0.1, 1e4 / 3, -7.7e-5])
def test_a_feature_that_does_not_vary_keeps_its_scale(value: float) -> None:
    """Its deviation is exactly 0 in whatever parts it comes, and no rounding is blown up to a feature."""
    found = Moments.of(CountedRows(np.full((1_001, 2), value, np.float32), block=99))
    assert found.deviation.tolist() == [1, 1]
    assert not found.standardise(np.full((3, 2), value, np.float32)).any()


def test_each_row_is_read_once() -> None:
    rows = CountedRows(np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32), block=8)
    Moments.of(rows)
    assert rows.asked == [8] * 12 + [4]


def test_maps_are_flattened_and_may_be_changed_before() -> None:
    maps = np.random.default_rng(0).normal(size=(50, 2, 2, 3)).astype(np.float32)
    assert Moments.of(maps).mean == pytest.approx(maps.reshape(50, 12).mean(axis=0), abs=1e-6)
    pooled = Moments.of(CountedRows(maps, block=7), lambda block: block.max(axis=(1, 2)))
    assert pooled.deviation == pytest.approx(maps.max(axis=(1, 2)).std(axis=0), abs=1e-6)
