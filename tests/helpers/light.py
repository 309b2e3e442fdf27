"""What must do without TensorFlow."""

from __future__ import annotations

import pytest


def forbid_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if TensorFlow is asked for, also where another test has loaded it already."""
    for module in ("resolve", "encoder"):
        monkeypatch.setattr(f"featstore.extraction.{module}.load_tensorflow", pytest.fail)
