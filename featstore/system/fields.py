"""The fields of a dataclass of options: their choices, ranges and help, each in one place.

A field's type holds its choices (`Literal`) or its range (`Annotated[int, Between(1)]`). Its default stands in the
dataclass, and its help is its entry below `Attributes:` in the docstring. The library checks values by these types; the
command line makes its options of all three.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cache
from inspect import cleandoc
from re import MULTILINE, findall, fullmatch
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Protocol,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from featstore.errors import UsageError, param
from featstore.system.words import did_you_mean, spelled_as


@runtime_checkable
class Range(Protocol):
    """What the values of a field may be; `str` says it in words."""

    def holds(self, value: object) -> bool:
        """Return whether `value` is one of them."""

    def parse(self, text: str) -> Any:
        """Return the value that `text` spells; raises ValueError for other text."""

    def settle(self, value: Any) -> Any:
        """Return a value that it holds in the one form that it has everywhere."""


class Between(NamedTuple):
    """A range of whole numbers, `least` and `most` included."""

    least: int
    most: int | None = None

    def __str__(self) -> str:
        return f"a whole number of at least {self.least}" + (f" and at most {self.most}" if self.most else "")

    def holds(self, value: object) -> bool:
        return isinstance(value, int) and self.least <= value and (self.most is None or value <= self.most)

    def parse(self, text: str) -> int:
        return int(text)

    def settle(self, value: Any) -> Any:
        return value


class Within(NamedTuple):
    """A range of numbers from `low`, which may be included, to below `high`."""

    low: float
    high: float = math.inf
    includes_low: bool = True

    def __str__(self) -> str:
        low = f"of at least {self.low:g}" if self.includes_low else f"above {self.low:g}"
        return f"a number {low}" + (f" and below {self.high:g}" if self.high < math.inf else "")

    def holds(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return self.low < value < self.high or (self.includes_low and value == self.low)

    def parse(self, text: str) -> float:
        return float(text)

    def settle(self, value: Any) -> Any:
        return value


class ListOf(NamedTuple):
    """A range of lists of numbers, each in the range `each`; a list has at least one."""

    each: Between | Within

    def __str__(self) -> str:
        return f"{self.each}, or several with commas between"

    def holds(self, value: object) -> bool:
        items = value if isinstance(value, list | tuple) else [value]
        return bool(items) and all(self.each.holds(item) for item in items)

    def parse(self, text: str) -> tuple[Any, ...]:
        return tuple(self.each.parse(part) for part in text.split(","))

    def settle(self, value: Any) -> tuple[Any, ...]:
        """Return a tuple for a list, as JSON has it, and for a single number."""
        return tuple(value) if isinstance(value, list | tuple) else (value,)


class Alias(NamedTuple):
    """Another word for one of the choices of a field, in the annotations of its type."""

    word: str
    stands_for: str


class Besides(NamedTuple):
    """Further values of a field with choices: `words` say how they are written, and `pattern` matches them."""

    words: str
    pattern: str

    def allows(self, value: str) -> bool:
        return fullmatch(self.pattern, value) is not None


_FLAGS = {  # whose names differ from Python's
    "heads": "--head",
    "image_folder": "--images",
    "parameters": "--set",
    "probes": "--probe",
    "rates": "--rate-of",
    "weights_seed": "--seed",
}
Seed = Annotated[int, Between(0, 2**32 - 1)]  # numpy takes no larger one


@cache
def field_types(kind: Any, annotated: bool = True) -> dict[str, Any]:
    """Return the type of each field of `kind`, with or without its annotations."""
    return get_type_hints(kind, include_extras=annotated)


def flag_of(name: str) -> str:
    """Return the option of the command line for a field or parameter."""
    return _FLAGS.get(name) or f"--{name.replace('_', '-')}"


def choices(hint: Any) -> tuple[str, ...]:
    """Return the values that a type with a `Literal` in it allows; none for any other type."""
    return next((get_args(part) for part in _parts(hint) if get_origin(part) is Literal), ())


def settle_choice(hint: Any, value: str) -> str | None:
    """Return the choice that `value` spells, or is an alias of; None if the type does not allow it."""
    known = choices(hint)
    aliases = {part.word: part.stands_for for part in _parts(hint) if isinstance(part, Alias)}
    found = spelled_as(value, known) or spelled_as(value, aliases)
    if found is None and any(isinstance(part, Besides) and part.allows(value) for part in _parts(hint)):
        return value
    return aliases.get(found, found) if found is not None else None


def limits(hint: Any) -> Range | None:
    """Return the range in the annotations of a type, if there is one."""
    return next((part for part in _parts(hint) if isinstance(part, Range)), None)


@cache
def field_help(kind: Any) -> dict[str, str]:
    """Return the help of each field of `kind`: its entry below `Attributes:`, the last section of the docstring."""
    entries = cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    return {
        name: " ".join(text.split()) for name, text in findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", entries, MULTILINE)
    }


def check_names(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise UsageError for a name that is not known, with the one that was probably meant."""
    names = list(known)
    for name in given:
        if name not in names:
            remedy = did_you_mean(name, names) or f"use one of {', '.join(names)}"
            raise UsageError(f"unknown {what} {name!r}: {remedy}")


def settle_fields(record: Any) -> None:
    """Give each choice its own spelling, so that one thing has one name wherever it is compared, shown or hashed.

    Raises UsageError for a value that is not one of the choices of its field, or outside its range.
    """
    for name, hint in field_types(record.__class__).items():
        value, known, range_ = getattr(record, name), choices(hint), limits(hint)
        if value is None and type(None) in _parts(hint):
            continue
        if known and value not in known:
            settled = settle_choice(hint, value) if isinstance(value, str) else None
            if settled is None:
                near = did_you_mean(value, known) if isinstance(value, str) else ""
                remedies = filter(None, (f"use one of {', '.join(known)}", near))
                raise UsageError(f"{param(name, value)}: is not known: {'; '.join(remedies)}")
            object.__setattr__(record, name, settled)  # records are frozen, and this is called while they are made
        if range_ is not None:
            if not range_.holds(value):
                raise UsageError(f"{param(name, value)}: expected {range_}")
            object.__setattr__(record, name, range_.settle(value))


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, type(int | str))


def _parts(hint: Any) -> Iterator[Any]:
    """Yield the type, its alternatives if it is a union, and their annotations."""
    yield hint
    if _is_union(hint) or get_origin(hint) is Annotated:
        for part in get_args(hint):
            yield from _parts(part)
