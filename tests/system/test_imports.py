"""Imports of large packages: garbage collection pauses, and resumes afterwards."""

from __future__ import annotations

import gc

import pytest

from featstore.system.imports import collection_paused


def test_collection_pauses_and_goes_on() -> None:
    """It resumes after a failed import too."""
    with pytest.raises(ImportError), collection_paused():
        assert not gc.isenabled()
        import featstore.nonsense  # type: ignore[import-not-found]  # noqa: F401
    assert gc.isenabled()


def test_collection_that_was_off_stays_off() -> None:
    """It is the program's own decision."""
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
