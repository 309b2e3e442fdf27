"""Writers, and those who remove, on object storage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from featstore.errors import StoreError
from featstore.objects.bucket import Uncertain
from featstore.objects.urls import Url
from featstore.store import object_locks, object_signs
from featstore.store.object_locks import Hold, ObjectWriterLock
from helpers.buckets import MemoryBucket, bucket_in_place

FOLDER = Url("s3", "b", "cache/tiny/key")
CLAIMS = (FOLDER / "claims").path


@pytest.fixture
def bucket() -> Iterator[MemoryBucket]:
    bucket = MemoryBucket()
    with bucket_in_place(bucket):
        yield bucket
    assert not bucket.objects, "a sign was left"


def signs(bucket: MemoryBucket) -> list[str]:
    return [path.rpartition("/")[2].partition("-")[0] for path in sorted(bucket.objects)]


def test_nothing_is_removed_beside_a_writer(bucket: MemoryBucket) -> None:
    writer = ObjectWriterLock(FOLDER)
    writer.acquire()
    with pytest.raises(StoreError, match="in use by another process"), Hold(FOLDER):
        pass
    writer.release()
    with Hold(FOLDER):
        assert signs(bucket) == ["alone"]


def test_a_writer_waits_for_the_end_of_a_removal(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    told, hold = [], Hold(FOLDER)
    hold.__enter__()

    def end(seconds: float) -> None:
        hold.__exit__()

    monkeypatch.setattr(object_locks, "sleep", end)
    writer = ObjectWriterLock(FOLDER)
    writer.acquire(lambda: told.append(1))
    assert told == [1]
    assert signs(bucket) == ["writer"]
    writer.release()


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_of_two_that_come_at_once_at_most_one_goes_on(bucket: MemoryBucket, moment: int) -> None:
    """The second one comes at the n-th request of the first one."""
    inside: list[Hold] = []

    def enter(hold: Hold) -> None:
        with suppress(StoreError):
            inside.append(hold.__enter__())

    def before(kind: str, path: str) -> None:
        if bucket.requests.total() == moment:
            bucket.before = lambda kind, path: None
            enter(Hold(FOLDER))

    bucket.before = before
    enter(Hold(FOLDER))
    assert len(inside) <= 1
    for hold in inside:
        hold.__exit__()


def test_the_sign_of_one_that_died_is_void_after_a_minute(bucket: MemoryBucket) -> None:
    ObjectWriterLock(FOLDER).acquire()
    bucket.clock = lambda: time.time() + 62
    with Hold(FOLDER):
        assert signs(bucket) == ["alone", "writer"]
    writer = ObjectWriterLock(FOLDER)
    writer.acquire()
    assert signs(bucket) == ["writer"]  # its own: the other one was cleared
    writer.release()


def test_a_living_sign_is_renewed(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_locks, "BEAT_SECONDS", 0.01)
    with Hold(FOLDER) as hold:
        deadline = time.monotonic() + 5
        while bucket.requests["put"] < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert bucket.requests["put"] >= 3
        hold.check()
    writer = ObjectWriterLock(FOLDER)
    writer.acquire()
    time.sleep(0.02)
    bucket.forget_requests()
    writer.acquire()
    assert bucket.requests["put"] == 1
    writer.release()


def test_one_that_stopped_for_too_long_removes_nothing_more(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hold(FOLDER) as hold:
        hold.check()
        now = object_signs.monotonic()
        monkeypatch.setattr(object_signs, "monotonic", lambda: now + 50)
        with pytest.raises(StoreError, match="others may be at work there by now: run the same command again"):
            hold.check()
        hold.sign.renew()  # it wakes up, and its thread goes on
        hold.check()


def test_the_sign_stays_where_a_removal_may_come_late(bucket: MemoryBucket) -> None:
    with Hold(FOLDER) as hold:
        hold.doubt()
    assert signs(bucket) == ["alone"]
    with pytest.raises(StoreError, match="in use"), Hold(FOLDER):
        pass
    bucket.objects.clear()


def test_a_server_that_does_not_answer_lets_nobody_in(bucket: MemoryBucket) -> None:
    def silent(kind: str, path: str) -> None:
        raise Uncertain("no answer")

    bucket.before = silent
    with pytest.raises(StoreError, match="cannot be held: no answer; nothing was changed"), Hold(FOLDER):
        pass
    ObjectWriterLock(FOLDER).acquire()  # a writer is told when it stores
