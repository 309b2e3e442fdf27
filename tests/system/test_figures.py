"""Figures as text: rounded, and never to more than they say."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from featstore.evaluation.paired import Difference
from featstore.system.figures import figure, figures, interval, loss, megabytes, percent, with_interval

shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, "1.000"),
        (0.0, "0.000"),
        (-0.0, "0.000"),
        (0.9985, "0.999"),
        (2199 / 2200, "0.9995"),
        (0.99996, "0.99996"),
        (1 - 6e-8, ">0.999999"),
        (0.0004, "0.0004"),
        (1e-9, "<0.000001"),
        (math.nan, "nan"),
    ],
)
def test_all_and_none_are_said_only_of_all_and_none(value: float, expected: str) -> None:
    """Where three decimals are not enough there are more, up to six."""
    assert figure(value) == expected


@example(0.9995, 0.99949)
@example(1.0, math.nextafter(1, 0))
@given(shares, shares)
def test_the_order_of_figures_is_kept(one: float, other: float) -> None:
    """A larger figure never has the smaller text, so an interval holds its figure on paper as well."""
    low, high = sorted((one, other))
    assert float(figure(low).strip("<>")) <= float(figure(high).strip("<>"))


@given(shares)
def test_a_text_is_close_to_its_figure(value: float) -> None:
    """To half of the last of three decimals, or nearer."""
    assert abs(float(figure(value).strip("<>")) - value) <= 0.0005 + 1e-12
    assert (figure(value) == "1.000") == (value == 1)
    assert (figure(value) == "0.000") == (value == 0)


@given(shares, shares)
def test_two_figures_that_differ_are_not_written_alike(one: float, other: float) -> None:
    """Where they differ by a millionth or more."""
    texts = figures(one, other)
    assert texts[0] != texts[1] or abs(one - other) <= 1e-6


def test_intervals_keep_the_digits_that_they_need() -> None:
    """Neither end reads as a limit that it is not, and no interval looks empty."""
    assert interval((0.96, 0.99)) == "0.960 to 0.990"
    assert interval((0.99971, 1.0)) == "0.9997 to 1.000"
    assert interval((0.52301, 0.52349)) == "0.5230 to 0.5235"
    assert with_interval(2199 / 2200, (0.99743, 0.99992)) == "0.9995 [0.997, 0.9999]"


def test_losses_sizes_and_per_cents() -> None:
    """What is more than nothing is not written as nothing; a loss of 1 is no limit."""
    assert [loss(value) for value in (0.0, 0.0441, 0.00012, 0.9996, 12.3)] == [
        "0.000", "0.044", "0.0001", "1.000", "12.300",
    ]  # fmt: skip
    assert [megabytes(size) for size in (0, 1_234_567, 12_345, 40)] == ["0.0", "1.2", "0.01", "0.00004"]
    assert [percent(share) for share in (0, 0.07, 0.5, 0.996, 1, 0.004)] == ["0%", "7%", "50%", "99.6%", "100%", "0.4%"]


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ((0.012, 0.003, 0.021), "1.2 points [0.3, 2.1]"),
        ((0.0004, 0.0001, 0.0007), "0.04 points [0.01, 0.1]"),
        ((0.0, -0.0, 0.0), "0.0 points [0.0, 0.0]"),
        ((0.1 + 0.2 - 0.3, -0.01, 0.01), "0.0 points [-1.0, 1.0]"),
        ((0.0031, 0.0031, 0.0034), "0.31 points [0.31, 0.34]"),
        ((-0.9996, -1.0, -0.98), "-99.96 points [-100.0, -98.0]"),
    ],
)
def test_differences_show_on_which_side_of_zero_they_are(difference: tuple[float, ...], expected: str) -> None:
    """An end is written as 0.0 only where it is 0; the last bit of a sum is not a difference."""
    assert Difference(*difference).in_points() == expected
