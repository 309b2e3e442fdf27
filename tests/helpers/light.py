"""Tests without TensorFlow: which ones need it, and what keeps it out."""

from __future__ import annotations

import sys

import pytest

HEAVY = ("tensorflow", "keras")  # Keras loads TensorFlow


class _Refusal:
    """An import hook: what asks for TensorFlow is skipped, be it a test or a whole module of tests."""

    def find_spec(self, name: str, *_: object) -> None:
        if name in HEAVY:
            pytest.skip("needs TensorFlow", allow_module_level=True)


def refuse_tensorflow() -> None:
    """Keep TensorFlow out of this process.

    A test that needs it shows that by asking for it. So there is no list of them that could be wrong.
    """
    sys.meta_path.insert(0, _Refusal())  # type: ignore[arg-type]


def needs_tensorflow(item: pytest.Item) -> bool:
    """Whether the test is known to need TensorFlow: its module imports it, or it starts the command line on its own."""
    module = getattr(item, "module", None)
    imported = (getattr(value, "__module__", None) or getattr(value, "__name__", "") for value in vars(module).values())
    return "cli" in getattr(item, "fixturenames", ()) or any(str(name).split(".")[0] in HEAVY for name in imported)


def forbid_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if TensorFlow is asked for, also where another test has loaded it already."""
    for module in ("extraction.resolve", "engines.load"):
        monkeypatch.setattr(f"featstore.{module}.load_tensorflow", pytest.fail)
