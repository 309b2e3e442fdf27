"""Records from JSON: dataclasses whose fields are checked against their annotations.

Files may be untrusted, so a value of another type is an error here, and not in the middle of a job. msgspec does the
same but imports in 30 ms, ignores fields that a dataclass does not have, and needs a hook for paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def read_record(kind: type[T], content: object) -> T:
    """Return the dataclass `kind` made of `content`, a dict as `json.loads` returns it.

    Lists become tuples, strings become paths, or what `from_text` of a class makes of them, and dicts become records
    where the annotation says so. An integer may
    stand for a float; nothing else is converted. A value annotated with Any is not checked.

    Raises:
        TypeError: A value has another type, or a field is missing or unknown.
    """
    if not isinstance(content, dict):
        raise TypeError(f"expected an object with the fields of {kind.__name__}, found {type(content).__name__}")
    known = {field.name for field in fields(kind) if field.init}  # type: ignore[arg-type]
    if unknown := sorted(map(str, content.keys() - known)):
        raise TypeError(f"{unknown[0]!r} is not a field of {kind.__name__}")
    types = get_type_hints(kind)
    return kind(**{name: _read(types[name], value, name) for name, value in content.items()})


def _read(annotation: Any, value: Any, name: str) -> Any:
    """Return `value` as its annotation says; `name` is that of the field, for the error."""
    kind, inner = get_origin(annotation) or annotation, get_args(annotation)
    if kind in (Union, UnionType):
        for choice in inner:
            with suppress(TypeError):
                return _read(choice, value, name)
    elif is_dataclass(kind) and isinstance(value, dict):
        return read_record(kind, value)  # type: ignore[arg-type]
    elif kind is tuple and isinstance(value, list | tuple):
        types = inner[:1] * len(value) if inner[1:] == (...,) else inner
        if len(types) == len(value):
            return tuple(_read(item_type, item, name) for item_type, item in zip(types, value, strict=True))
    elif kind in (dict, Mapping) and isinstance(value, dict):
        return {key: _read(inner[1], item, f"{name}.{key}") for key, item in value.items()}
    elif kind is Path and isinstance(value, str):
        return Path(value)
    elif isinstance(value, str) and hasattr(kind, "from_text"):
        return kind.from_text(value)
    elif _is_of(kind, inner, value):
        return value
    words = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    raise TypeError(f"{name}: expected {words}, found {type(value).__name__}")


def _is_of(kind: Any, choices: tuple[Any, ...], value: object) -> bool:
    """Whether a value can stay as it is; `choices` are those of a Literal."""
    if kind is Any or kind is Literal:
        return kind is Any or value in choices
    if isinstance(value, bool):  # an int to Python
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
