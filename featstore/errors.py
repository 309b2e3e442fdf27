"""The tree of errors.

FeatstoreError                 anything a user can cause or mend; the command line prints it as one line, exit code 1
├── UsageError                 an argument that makes no sense (exit code 2)
├── DataError                  a data set that cannot be used as it is
│   └── UnreadableImage        one image file that cannot become pixels; extraction lists it and goes on
├── BaseUnavailable            a base, or its weights, cannot be had or do not fit
├── StoreError                 the cache cannot be written, or a file in it is not what it should be
└── RunError                   a run folder that cannot be read or does not fit

Each message is one line: what was expected, what was found, what to do.
"""

from __future__ import annotations


class FeatstoreError(Exception):
    """Base of all errors that featstore raises on purpose."""

    def __str__(self) -> str:
        """One line, whatever names of files and keys of JSON it quotes: they are strangers' words."""
        return r"\n".join(super().__str__().splitlines())


class UsageError(FeatstoreError):
    """An argument that makes no sense, alone or beside the others."""


class DataError(FeatstoreError):
    """A data set that cannot be used as it is."""


class UnreadableImage(DataError):
    """One image file that cannot become pixels; the message is the reason, without the path."""


class BaseUnavailable(FeatstoreError):
    """A base, or its weights, cannot be had or do not fit each other."""


class StoreError(FeatstoreError):
    """The cache cannot be written, or a file in it is not what it should be."""


class RunError(FeatstoreError):
    """A run folder that cannot be read, or does not fit what it is used for."""
