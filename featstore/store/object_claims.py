"""Claims on object storage: which rows other processes are computing now, as `claims` has them for a disk.

A look at the others costs requests, so what they have claimed is known two seconds late. Processes that take the same
images in the same order would keep computing the same ones. So once two have met at an image, each image first belongs
to one of them, by its digest. One that has no image of its own left takes of those that nobody has claimed, again
divided by the digest.

Claims save work and guarantee nothing. Errors are never raised, and no request is made while a caller waits, except at
the first claim.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import islice
from time import monotonic
from typing import NamedTuple

from featstore.errors import UsageError
from featstore.objects.opening import open_bucket
from featstore.objects.urls import Url
from featstore.store.object_signs import BEAT_SECONDS, ROWS, OtherSign, Sign, call_every
from featstore.store.rowid import RowId, split_ids
from featstore.system.files import FileStat
from featstore.system.fork_lock import ForkLock

VARIABLE = "FEATSTORE_CLAIMS"
SECONDS = 2.0  # between two looks at the others, for each four of them
_OTHERS_IN_TURN = 4
_MOST_ROWS = 2**14  # the last ones: those before them are stored by now, and are found there
_DIGEST_BYTES = 32
_ROUNDS = 40  # digits of a digest, in base n, which say whose turn it is


def are_claims_on() -> bool:
    """Whether processes that share a key on object storage look at each other; raises UsageError."""
    text = os.environ.get(VARIABLE, "on")
    if text not in ("on", "off"):
        raise UsageError(f"{VARIABLE} is {text!r}: expected on or off")
    return text == "on"


class NoClaims:
    """The claims of a process whose rows are its own: another one has parted the work."""

    def claim(self, row: RowId) -> bool:
        return True

    def is_free(self, row: RowId) -> bool:
        return True

    def release(self, rows: Iterable[RowId]) -> None: ...

    def release_all(self) -> None: ...

    def close(self) -> None: ...


class _Other(NamedTuple):
    state: FileStat
    rows: frozenset[RowId]


class ObjectClaims:
    """The claims on the rows of one key. Threads may share it.

    folder: the URL of `claims`. on_release: called when another has released rows, which are stored then.
    """

    def __init__(self, folder: Url, on_release: Callable[[], None]) -> None:
        self._folder = folder
        self._sign = Sign(folder, ROWS)
        self._on_release = on_release
        self._lock = ForkLock()
        self._mine: dict[RowId, None] = {}  # in the order in which they were claimed
        self._is_shown = False  # whether the sign says what is in `_mine`
        self._others: dict[str, _Other] = {}
        self._rivals: set[str] = set()  # those of them that were met at an image
        self._looked_at = -BEAT_SECONDS
        self._round = 0
        self._stop: Callable[[], None] | None = None

    def claim(self, row: RowId) -> bool:
        """Claim a row; return False if a living process has claimed it, or if it is another's turn."""
        with self._lock:
            if row in self._mine:
                return True
            if self._stop is None:
                self._exchange()
                self._stop = call_every(SECONDS, self._exchange, self._sign.withdraw)
            if not self._may_take(row):
                return False
            self._mine[row] = None
            self._is_shown = False
            return True

    def is_free(self, row: RowId) -> bool:
        """Whether `claim` would succeed now."""
        return row in self._mine or self._may_take(row)

    def release(self, rows: Iterable[RowId]) -> None:
        """Release the claims on `rows`, which never will be stored. Rows that were not claimed are ignored."""
        with self._lock:
            for row in rows:
                self._is_shown &= row not in self._mine
                self._mine.pop(row, None)

    def release_all(self) -> None:
        """Release all claims, and take what others have left."""
        with self._lock:
            self._is_shown &= not self._mine
            self._mine = {}
            self._round = (self._round + 1) % _ROUNDS

    def close(self) -> None:
        """Release all claims and remove the sign; nothing more is claimed."""
        self.release_all()
        if self._stop is not None:
            self._stop()

    def _may_take(self, row: RowId) -> bool:
        met = {name for name, other in self._others.items() if row in other.rows}
        if met:
            self._rivals |= met
            return False
        before = sum(name < self._sign.url.name for name in self._rivals)
        base = len(self._rivals) + 1
        digit: int = int.from_bytes(row[:_DIGEST_BYTES]) // base**self._round % base
        return digit == before

    def _exchange(self) -> None:
        """Show the own claims, and read those of others that have changed."""
        if monotonic() - self._looked_at < SECONDS * len(self._others) / _OTHERS_IN_TURN:
            return
        self._looked_at = monotonic()
        try:
            if not self._is_shown or self._sign.age >= BEAT_SECONDS:
                with self._lock:
                    recent = b"".join(islice(reversed(self._mine), _MOST_ROWS))
                    self._is_shown = True  # what is claimed from now on is shown the next time
                self._sign.show(recent)
            living, _ = self._sign.look()
            before, now = self._others, {sign.name: self._read(sign) for sign in living if sign.kind == ROWS}
            with self._lock:
                self._others = now
                met = {name for name, other in now.items() if not self._mine.keys().isdisjoint(other.rows)}
                self._rivals = (self._rivals | met) & now.keys()
            if any(other.rows - (now[name].rows if name in now else frozenset()) for name, other in before.items()):
                self._on_release()
        except OSError:
            self._is_shown = False

    def _read(self, sign: OtherSign) -> _Other:
        known = self._others.get(sign.name)
        if known is not None and known.state == sign.state:
            return known
        try:
            content, state = open_bucket(self._folder).get((self._folder / sign.name).path)
            return _Other(state, frozenset(split_ids(content)))
        except OSError:  # it has left meanwhile
            return _Other(sign.state, frozenset())
