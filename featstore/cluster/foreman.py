"""The foreman: what workers on all machines tell while they work, and what the driver asks and says.

Ray runs a block again whose worker has died, as often as it dies: the foreman counts. It is one small actor on the
machine of the driver, and an ordinary object in tests.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from featstore.extraction.told import News

MOST_TRIES = 2  # of a block: a worker may die of something else once


class Place(NamedTuple):
    """Where a worker is. node: the id of its node; name: of the node, for people."""

    worker: str
    node: str
    name: str
    process: int


class Refusal(NamedTuple):
    """A worker that cannot make these rows, such as one whose environment computes other values."""

    place: Place
    reason: str


class Overview(NamedTuple):
    """What was told since the last look, and how things are.

    busy: the workers with a block that is begun and not ended. handles: of all workers, by their ids.
    """

    news: tuple[News, ...]
    refusals: tuple[Refusal, ...]
    busy: frozenset[str]
    places: dict[str, Place]
    handles: dict[str, Any]


class Foreman:
    """What all workers share."""

    def __init__(self) -> None:
        self._tries: Counter[int] = Counter()
        self._busy: dict[int, str] = {}  # the worker of each block that is begun
        self._news: list[News] = []
        self._refusals: list[Refusal] = []
        self._places: dict[str, Place] = {}
        self._handles: dict[str, Any] = {}
        self._stopped = False

    def join(self, place: Place, handle: Any) -> None:
        """Note where a worker is; one that Ray has started again joins again, maybe elsewhere."""
        self._places[place.worker], self._handles[place.worker] = place, handle

    def begin(self, block: int, place: Place) -> int:
        """Return how often this block was tried before; -1 if no more is to be done."""
        if self._stopped:
            return -1
        self._busy = {number: worker for number, worker in self._busy.items() if worker != place.worker}
        self._busy[block] = place.worker
        self._tries[block] += 1
        return self._tries[block] - 1

    def end(self, block: int) -> None:
        """Note that a block is answered."""
        self._busy.pop(block, None)

    def tell(self, news: News) -> bool:
        """Take in how far a worker is; return whether it is to go on."""
        self._news.append(news)
        return not self._stopped

    def refuse(self, place: Place, reason: str) -> None:
        """Note that a worker cannot make these rows."""
        self._refusals.append(Refusal(place, reason))

    def stop(self) -> None:
        """Let all workers store what they have made, and begin nothing more."""
        self._stopped = True

    def look(self) -> Overview:
        """Return what was told since the last look."""
        news, self._news = tuple(self._news), []
        refusals, self._refusals = tuple(self._refusals), []
        return Overview(news, refusals, frozenset(self._busy.values()), dict(self._places), dict(self._handles))
