"""The pairs of classes that are confused most often come first."""

from __future__ import annotations

import numpy as np

from featstore.evaluation.confused import confused_line, most_confused


def test_the_most_confused_come_first() -> None:
    """By number of images, then by the share of their class; right answers are none."""
    counts = np.array([[180, 12, 8], [3, 90, 7], [8, 0, 20]])
    found = most_confused(counts, ["cats", "dogs", "emus"])
    assert [(pair.label, pair.answer, pair.n, pair.of) for pair in found] == [
        ("cats", "dogs", 12, 200),
        ("emus", "cats", 8, 28),
        ("cats", "emus", 8, 200),
        ("dogs", "emus", 7, 100),
        ("dogs", "cats", 3, 100),
    ]
    assert confused_line(found, "test") == (
        "most confused on test: `cats` taken for `dogs` 12 of 200, `emus` taken for `cats` 8 of 28, `cats` taken for "
        "`emus` 8 of 200"
    )


def test_ten_pairs_are_kept() -> None:
    """Of a thousand classes there may be as many pairs as images."""
    assert len(most_confused(np.ones((20, 20), int), [str(i) for i in range(20)])) == 10
    assert most_confused(np.eye(3, dtype=int), ["a", "b", "c"]) == ()
