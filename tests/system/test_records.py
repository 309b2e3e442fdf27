"""Records from JSON: values that fit the annotations are accepted, others are refused with the name of the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from featstore.system.records import read_record


@dataclass(frozen=True)
class Inner:
    x: float
    y: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    size: str | int | None = None
    flag: bool = False
    kind: Literal["one", "two"] = "one"
    folder: Path = Path()
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    anything: Any = None
    made: int = field(default=0, init=False)


def test_json_becomes_a_record() -> None:
    """Nested records, tuples and paths are made; an integer may stand for a float."""
    text = """{"name": "a", "size": 5, "flag": true, "kind": "two", "folder": "/x/y", "inner": {"x": 1, "y": [2, 3]},
        "many": [{"x": 0.5}], "shares": {"val": 0, "test": 0.2}, "anything": [{"any": null}]}"""
    assert read_record(Outer, json.loads(text)) == Outer(
        name="a",
        size=5,
        flag=True,
        kind="two",
        folder=Path("/x/y"),
        inner=Inner(1, (2, 3)),
        many=(Inner(0.5),),
        shares={"val": 0, "test": 0.2},
        anything=[{"any": None}],
    )


def test_a_record_that_is_made_already_is_kept() -> None:
    """A caller may have read a part by rules of its own."""
    inner = Inner(1)
    assert read_record(Outer, {"name": "a", "many": [inner]}).many == (inner,)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": 5}, "name: expected str, found int"),
        ({"name": None}, "name: expected str, found NoneType"),
        ({"size": 0.5}, r"size: expected str \| int \| None, found float"),
        ({"size": True}, r"size: expected str \| int \| None, found bool"),
        ({"flag": 1}, "flag: expected bool, found int"),
        ({"kind": "three"}, r"kind: expected .*Literal\['one', 'two'\], found str"),
        ({"folder": 5}, "folder: expected Path, found int"),
        ({"many": {}}, r"many: expected tuple\[.*Inner, \.\.\.\], found dict"),
        ({"many": [{"x": "1"}]}, "x: expected float, found str"),
        ({"many": [{"x": True}]}, "x: expected float, found bool"),
        ({"many": [{"x": 1, "y": [1, 2, 3]}]}, "y: expected .*, found list"),
        ({"many": [{}]}, "missing 1 required positional argument: 'x'"),
        ({"shares": {"val": "0.2"}}, r"shares\.val: expected float, found str"),
        ({"shares": [0.2]}, "shares: expected .*, found list"),
        ({"surprise": 1}, "'surprise' is not a field of Outer"),
        ({"made": 1}, "'made' is not a field of Outer"),
    ],
)
def test_another_type_is_refused(change: dict[str, Any], message: str) -> None:
    """The field is named, what was expected and what was found."""
    with pytest.raises(TypeError, match=message):
        read_record(Outer, {"name": "a", **change})


@pytest.mark.parametrize("content", [None, [], "text", 5])
def test_what_is_not_an_object_is_refused(content: object) -> None:
    """A file may hold any JSON."""
    with pytest.raises(TypeError, match="expected an object with the fields of Outer, found"):
        read_record(Outer, content)
