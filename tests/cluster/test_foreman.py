"""The foreman: how often a block was tried, how far the workers are, and when they are to stop."""

from __future__ import annotations

from featstore.cluster.foreman import Foreman, Place, Refusal
from featstore.extraction.told import Advance

HERE = Place("worker", "node", "host", 7)


def test_tries_are_counted() -> None:
    """A block that Ray runs again because its worker has died is known by that."""
    foreman = Foreman()
    assert [foreman.begin(3, HERE), foreman.begin(3, HERE), foreman.begin(4, HERE)] == [0, 1, 0]


def test_a_worker_that_begins_another_block_has_left_the_last() -> None:
    """Whether it has ended it or died on it: the driver waits for no block that nobody does."""
    foreman = Foreman()
    foreman.begin(1, HERE)
    foreman.begin(2, HERE)
    foreman.begin(9, HERE._replace(worker="other"))
    assert foreman.look().busy == {HERE.worker, "other"}
    foreman.end(2)
    foreman.end(9)
    assert not foreman.look().busy


def test_news_are_told_once() -> None:
    foreman = Foreman()
    foreman.join(HERE, "handle")
    assert foreman.tell(Advance(1, 5))
    foreman.refuse(HERE, "computes other values")
    seen = foreman.look()
    assert (seen.news, seen.refusals) == ((Advance(1, 5),), (Refusal(HERE, "computes other values"),))
    assert (seen.places, seen.handles) == ({"worker": HERE}, {"worker": "handle"})
    again = foreman.look()
    assert (again.news, again.refusals, again.places) == ((), (), {"worker": HERE})


def test_a_stop_reaches_all() -> None:
    """Those that work hear it with what they tell next; nothing more is begun."""
    foreman = Foreman()
    foreman.begin(1, HERE)
    foreman.stop()
    assert not foreman.tell(Advance(1, 5))
    assert foreman.begin(2, HERE) == -1
