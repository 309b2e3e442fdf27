"""Messages name options of the command that runs, or say which command has them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import featstore
from featstore.cli.app import _all_options
from featstore.cli.console import flag
from featstore.cli.spelling import speller
from helpers.cli import call
from helpers.keras_files import CONV, INPUT, model, write

OPTIONS = _all_options()


def parameters_in_messages() -> set[str]:
    """Every name that the package hands to `param` as a constant."""
    found: set[str] = set()
    for path in Path(featstore.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "param":
                found |= {a.value for a in node.args[:1] if isinstance(a, ast.Constant)}  # type: ignore[misc]
    return found


# Arguments of functions that no command has: they are checked before the command line could have any part in it.
OF_PYTHON = {"X", "data", "manifest", "max_bytes", "path", "right", "share", "split"}
NAMES = sorted(parameters_in_messages() - OF_PYTHON)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_in_a_message_is_an_option_of_some_command(name: str) -> None:
    """Else the user of the command line is told to give what nothing takes."""
    assert any(flag(name, None) in options for options in OPTIONS.values())


@pytest.mark.parametrize("command", OPTIONS)
def test_no_message_names_an_option_that_the_command_lacks(command: str) -> None:
    """Without the name of a command that has it, whichever message it is."""
    spell = speller(command.split(), lambda: OPTIONS)
    for name in NAMES:
        option, _, rest = spell(name, None).partition(" ")
        owner = rest.removeprefix("(an option of featstore ").removesuffix(")")
        assert {option, option.lower()} & OPTIONS[owner or command]  # an argument is shown as in DATA


def test_the_command_that_users_know_is_named() -> None:
    """A command that takes a run has no options for features: they are those of the training."""
    spell = speller(["predict", "runs/x"], lambda: OPTIONS)
    assert spell("pool", "none") == "--pool none (an option of featstore train-head)"
    assert spell("weights", None) == "--weights"
    assert speller(["cache", "explain", "photos"], lambda: OPTIONS)("pool", "avg") == "--pool avg"
    assert speller(["--version"], lambda: OPTIONS)("pool", "avg") == "--pool avg"


def test_an_argument_is_not_called_an_option() -> None:
    """DATA is an argument of most commands, and an option of a few."""
    assert speller(["extract", "https://x"], lambda: OPTIONS)("data", None) == "DATA"
    assert speller(["predict", "run", "https://x"], lambda: OPTIONS)("images", None) == "IMAGES"
    assert speller(["report", "run"], lambda: OPTIONS)("data", None) == "--data"


def test_a_message_of_a_base_is_spelled_for_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check-base` has no option for the cut: a base that needs one is still told with words that work."""
    monkeypatch.chdir(tmp_path)
    layer = {**CONV, "config": {"name": "conv", "data_format": "channels_first"}}
    write(tmp_path / "base.keras", model(INPUT, layer))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"x")
    done = call("extract", "photos", "--model", "base.keras", "--preprocess", "raw")
    assert "use --pool none" in done.err
    assert "an option of" not in done.err
