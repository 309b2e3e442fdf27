"""The processes that try heads."""

from __future__ import annotations

import os

import pytest

from featstore.errors import RunError
from featstore.sweeping.workers import workers


def test_a_killed_process_is_told_in_a_line() -> None:
    """As the system kills one when the memory is full."""
    with pytest.raises(RunError, match="was killed, .* use fewer .jobs"), workers(2) as work:
        list(work(os._exit, [(9,), (9,)]))
