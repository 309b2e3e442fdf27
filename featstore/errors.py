"""The tree of errors.

FeatstoreError                 anything a user can cause or fix; the command line prints it as one line, exit code 1
├── UsageError                 an argument that makes no sense (exit code 2)
├── DataError                  a data set that cannot be used as it is
│   └── UnreadableImage        one image file that cannot become pixels; extraction lists it and goes on
├── BaseUnavailable            a base or its weights are not available, or do not fit
├── ClusterUnavailable         a Ray that cannot be reached or started, or that has failed
├── StoreError                 the cache cannot be written, or a file in it is not what it should be
└── RunError                   a run folder that cannot be read or does not fit

Each message is one line: what was expected, what was found, what to do. Where it names a parameter, it does so with
`param`, so that a Python user reads `views='ten'` and a user of the command line `--views ten`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Spell = Callable[[str, object], str]

_OPEN, _CLOSE = "\x02", "\x03"  # control characters: no message has them otherwise
_PARAM = re.compile(f"{_OPEN}(\\w+)(=?)([^{_CLOSE}]*){_CLOSE}")


def param(name: str, value: object = None) -> str:
    """Return the text that stands for a parameter, with or without a value, in the message of an error."""
    return f"{_OPEN}{name}{'' if value is None else f'={json.dumps(value, default=str)}'}{_CLOSE}"


def in_python(name: str, value: object) -> str:
    """Spell a parameter as a Python user writes it: `views='ten'`, or `views` in backticks without a value."""
    return f"`{name}`" if value is None else f"{name}={value!r}"


_spell: Spell = in_python


@contextmanager
def parameters_spelled(spell: Spell) -> Iterator[None]:
    """Spell the parameters in all messages by `spell(name, value)`; the value is None where only the name is given.

    The command line wraps itself in this, once. It holds for the whole process, threads that read images included.
    """
    global _spell
    before, _spell = _spell, spell
    try:
        yield
    finally:
        _spell = before


def spelled(text: str) -> str:
    """Return a text with its parameters spelled, for a message that is not an error."""
    return _PARAM.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    try:
        return _spell(found[1], json.loads(found[3]) if found[2] else None)
    except ValueError:  # a file name that imitates a parameter
        return found[0]


class FeatstoreError(Exception):
    """Base of all errors that featstore raises on purpose."""

    def __str__(self) -> str:
        """Return the message as one line.

        Names of files and keys of JSON that it quotes are strangers' words: their line breaks are escaped.
        """
        return r"\n".join(spelled(super().__str__()).splitlines())


class LeakWarning(UserWarning):
    """Figures are too good, or cannot be compared.

    Held-out images were trained on, here or in an earlier run; or an audit raised an alarm about the data, such as a
    shortcut: what tells the label here and will not tell it of new photos.
    """


class UsageError(FeatstoreError):
    """An argument that makes no sense, alone or with the others."""


class DataError(FeatstoreError):
    """A data set that cannot be used as it is."""


class UnreadableImage(DataError):
    """One image file that cannot become pixels; the message is the reason, without the path."""


class BaseUnavailable(FeatstoreError):
    """A base or its weights are not available, or do not fit each other."""


class ClusterUnavailable(FeatstoreError):
    """A Ray that cannot be reached or started, or that has failed."""


class StoreError(FeatstoreError):
    """The cache cannot be written, or a file in it is not what it should be; or object storage cannot be read."""


class RunError(FeatstoreError):
    """A run folder that cannot be read, or does not fit what it is used for."""
