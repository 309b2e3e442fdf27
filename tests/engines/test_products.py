"""The measured precision of products: float32 passes, rounded factors do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tensorflow as tf

from featstore.engines.products import check_products, product_error
from featstore.errors import BaseUnavailable


@pytest.fixture(autouse=True)
def measured_anew() -> Iterator[None]:
    check_products.cache_clear()
    yield
    check_products.cache_clear()


def rounding(product: Callable[..., Any], bits: int) -> Callable[..., Any]:
    """Return `product` of float32 factors that are rounded to so many bits."""

    def round_factor(factor: Any) -> Any:
        half, mask = 1 << 22 - bits, -(1 << 23 - bits)
        return tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(factor, tf.int32) + half, mask), tf.float32)

    def rounded(x: Any, y: Any, *rest: Any) -> Any:
        return product(round_factor(x), round_factor(y), *rest)

    return rounded


def test_float32_passes() -> None:
    """With a wide margin to both sides of the limit."""
    assert product_error() < 1e-6
    check_products()


@pytest.mark.parametrize("bits", [7, 10])
def test_rounded_factors_are_refused(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As bfloat16 and TensorFloat-32 have them; in the convolution alone is enough."""
    monkeypatch.setattr(tf.nn, "conv2d", rounding(tf.nn.conv2d, bits))
    with pytest.raises(BaseUnavailable, match=r"with a relative error of \de-0[34] here"):
        check_products()
