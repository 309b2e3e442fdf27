"""Labels: cleaned, in natural order, and compared."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featstore.datasets.labels import alike_labels, clean_label, in_natural_order


@pytest.mark.parametrize(
    "labels",
    [
        ("1", "2", "10"),
        ("-1", "0", "0.25", "0.5", "1e3"),
        ("class1", "class2", "class10"),
        ("a", "b", "c"),
        ("2", "10", "nan"),
        ("img1", "img1a", "img2"),
    ],
)
def test_natural_order(labels: tuple[str, ...]) -> None:
    """Numbers by value, texts with numbers in them likewise."""
    assert in_natural_order(reversed(labels)) == labels


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(max_size=6), max_size=6))
def test_any_labels_have_one_order(labels: list[str]) -> None:
    """Each label once, whatever the order was."""
    ordered = in_natural_order(labels)
    assert set(ordered) == set(labels)
    assert len(ordered) == len(set(labels))
    assert in_natural_order(reversed(labels)) == ordered


def test_a_label_has_one_form() -> None:
    """Blanks around it and its Unicode form say nothing."""
    assert clean_label(" cafe\u0301\t") == "caf\u00e9"


def test_labels_that_are_alike_are_found() -> None:
    """In groups, sorted."""
    assert alike_labels(["dog", "Cat", "cat", "CAT", "1.0", "1", "fox"]) == [("1", "1.0"), ("CAT", "Cat", "cat")]
