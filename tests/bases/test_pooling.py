"""Pooling stored maps: what can be pooled, and when a map in float16 is exact enough."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from featstore.bases.pooling import check_poolable, pool_map
from featstore.bases.pooling import is_fine_enough as is_fine_enough_for
from featstore.errors import UsageError
from featstore.spec import Pool


def is_fine_enough(stored: np.ndarray, pool: Pool) -> bool:
    return is_fine_enough_for(stored, pool_map(stored, pool), pool)


exact_maps = arrays(
    np.float32,
    array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5),
    elements=st.floats(-65504, 65504, width=32) | st.floats(0, 16, width=32),
)


@pytest.mark.parametrize("dimensions", [0, 1, 2, 4])
def test_only_maps_are_pooled(dimensions: int) -> None:
    """Vectors, tokens and volumes are refused, with what was expected, what was found, and a remedy."""
    expected = rf"'x': expected maps .* found outputs with {dimensions} dimensions?: use pool='none'"
    with pytest.raises(UsageError, match=expected):
        check_poolable("x", dimensions)
    check_poolable("x", 3)


@settings(deadline=None)
@given(exact_maps, st.sampled_from(["avg", "max"]))
def test_a_pooled_row_is_within_a_thousandth_or_the_map_is_too_coarse(exact: np.ndarray, pool: Pool) -> None:
    """Both roundings count, that of the map and that of the row. The limit is relative to the row's largest number."""
    stored = exact.astype(np.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fine = is_fine_enough(stored, pool)
    row = (exact.astype(np.float64).mean(axis=(0, 1)) if pool == "avg" else exact.max(axis=(0, 1))).astype(np.float64)
    kept = pool_map(stored, pool).astype(np.float16).astype(np.float64)
    assert not fine or np.abs(kept - row).max() <= 1e-3 * np.abs(row).max()
    assert is_fine_enough(exact, pool)


def test_maps_after_a_relu_are_fine_and_sums_that_cancel_out_are_not() -> None:
    """The largest mean of a map without negative numbers bounds its rounding errors."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        positive = np.maximum(rng.normal(0, 10, (7, 7, 64)), 0).astype(np.float16)
        assert is_fine_enough(positive, "avg")
        assert is_fine_enough(positive, "max")
    centred = rng.normal(0, 10, (7, 7, 64))
    centred -= centred.mean(axis=(0, 1))
    assert not is_fine_enough(centred.astype(np.float16), "avg")
    assert is_fine_enough(centred.astype(np.float16), "max")


def test_many_positions_are_summed_exactly() -> None:
    """A sum in float32 over a map of 512x512 would be off by 1e-4 and more."""
    stored = np.full((512, 512, 1), 0.1, np.float32)
    assert pool_map(stored, "avg")[0] == np.float32(0.1)
