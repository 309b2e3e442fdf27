"""`--json` has the names and types that programs rely on: a change of them is a decision, made with json_shapes.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from featstore.cli import app
from helpers.cli import call
from helpers.json_shapes import (
    FILE,
    LIGHT,
    TINY_RUN,
    WITH_TENSORFLOW,
    changes,
    misfits,
    shapes_in,
    shapes_of,
    write_data,
)

HOW = "if it is meant to be so, run `python tests/helpers/json_shapes.py`, and say so in CHANGELOG.md"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the commands are run on, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)
    write_data(tmp_path)


def check(commands: Mapping[str, tuple[str, ...]]) -> None:
    wrong = changes(shapes_of(commands))
    assert not wrong, "\n".join([*wrong, HOW])


def test_every_command_with_json_has_a_shape() -> None:
    """One that is new is run in json_shapes.py as well."""
    commands = {name for name, options in app._all_options().items() if "--json" in options}
    assert commands == {*LIGHT, *WITH_TENSORFLOW, "quickstart"}
    assert commands == json.loads(FILE.read_text()).keys() - {"metrics", "per_class"}


@pytest.mark.usefixtures("data")
def test_commands_print_what_they_have_always_printed() -> None:
    """No name is gone or new, and none has another type."""
    check(LIGHT)


@pytest.mark.tf
@pytest.mark.usefixtures("data")
def test_commands_that_run_networks_too() -> None:
    """On a small base."""
    assert call(*TINY_RUN).code == 0
    check(WITH_TENSORFLOW)


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ('{"run": "r", "predictions": [{"path": "p", "label": null}]}', ["predictions.[].label was"]),
        ('{"run": "r", "predictions": [{"path": "p"}]}', ["predictions.[].label is gone, or not always there"]),
        ('{"predictions": []}', ["run is gone"]),
        ('{"run": "r", "predictions": [{"path": "p", "label": "x", "sure": 1}]}', ["predictions.[].sure is new"]),
        ('{"run": ["r"], "predictions": []}', ['run was "text", is ["text"]']),
        ('{"run": "r", "predictions": []}', []),
    ],
)
def test_a_change_is_seen(printed: str, told: list[str]) -> None:
    """Of a name or of a type, in a list as well; an empty list is no change."""
    kept = {"run": "text", "predictions": [{"path": "text", "label": "text"}]}
    found = list(misfits(kept, shapes_in("predict", printed, {})["predict"]))
    assert len(found) == len(told)
    assert all(part in line for part, line in zip(told, found, strict=True))
