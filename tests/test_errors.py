"""Errors: one line each, with parameters spelled for those who read them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import featstore
from featstore.cli.console import flag
from featstore.errors import FeatstoreError, UsageError, param, parameters_spelled
from helpers.cli import call

LIBRARY = [p for p in Path(featstore.__file__).parent.rglob("*.py") if "cli" not in p.parts]


def test_parameters_are_spelled_as_in_python_and_as_flags_on_the_command_line() -> None:
    """Whoever wrote `views='one'` is not told about `--views`, and the other way round."""
    error = UsageError(f"{param('unfreeze_from', 'conv5')}: use {param('whole', True)}, or name the {param('cache')}")
    assert str(error) == "unfreeze_from='conv5': use whole=True, or name the `cache`"
    with parameters_spelled(flag):
        assert str(error) == "--unfreeze-from conv5: use --whole, or name the --cache"
    assert "unfreeze_from=" in str(error)


@pytest.mark.parametrize("value", ["a\x03b", 'it\'s "one"', "ü\n", 0.5, 3, "\x02x=1\x03"])
def test_any_value_is_shown_as_it_is(value: object) -> None:
    """Values are the user's, and may hold what stands for a parameter."""
    assert str(FeatstoreError(param("model", value))) == f"model={value!r}"


def test_a_file_name_that_is_half_a_parameter_is_shown_as_it_is() -> None:
    """Its value is not one; the command line escapes control characters."""
    assert str(FeatstoreError("\x02views=ten\x03: no such file")) == "\x02views=ten\x03: no such file"


def test_one_parameter_in_both_spellings(photos: Path) -> None:
    """The same failure, told to a Python user and to a user of the command line."""
    with pytest.raises(UsageError, match=r"^alpha=0\.5: VGG16 has no width multiplier"):
        featstore.extract(photos, model="VGG16", alpha=0.5)
    done = call("extract", photos, "--model", "VGG16", "--alpha", 0.5)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("featstore: --alpha 0.5: VGG16 has no width multiplier")


def test_the_library_does_not_speak_of_flags() -> None:
    """Its messages reach Python users; `param` says which parameter is meant."""
    found = [
        f"{path.name}:{text.lineno}: {text.value}"
        for path in LIBRARY
        for raised in _raised(ast.parse(path.read_text()))
        for text in ast.walk(raised)
        if isinstance(text, ast.Constant) and isinstance(text.value, str) and re.search(r"(^|\s)--[a-z]", text.value)
    ]
    assert not found


def _raised(tree: ast.AST) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Raise))
