"""What a sweep says of its trials."""

from __future__ import annotations

import pytest

from featstore.extraction.recipe import Recipe
from featstore.sweeping.result import SweepRow, findings_of
from featstore.sweeping.searching import Scope
from featstore.sweeping.settings import SweepSettings


def row(name: str, seconds: float) -> SweepRow:
    return SweepRow(
        name=name,
        recipe=Recipe(model="tiny"),
        head="ridge",
        parameters={},
        accuracy=0.9,
        accuracy_ci95=(0.8, 0.95),
        log_loss=0.1,
        behind=0.0,
        behind_ci95=(0.0, 0.1),
        is_tied=True,
        seconds=seconds,
    )


@pytest.mark.parametrize(("seconds", "named"), [((0.14, 0.06), False), ((9.0, 5.0), False), ((9.0, 4.0), True)])
def test_a_cheaper_head_is_named_where_that_saves_time(seconds: tuple[float, float], named: bool) -> None:
    """0.1 s instead of 0.1 s is nothing to say."""
    rows = [row("best", seconds[0]), row("cheap", seconds[1])]
    said = findings_of(rows, rows[0], SweepSettings(), None, Scope((), (), {}))
    assert any("the cheapest of these is cheap" in sentence for sentence in said) == named
