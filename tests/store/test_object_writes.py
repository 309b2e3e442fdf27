"""Writing objects when answers are lost, late or wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from featstore.errors import StoreError
from featstore.objects.bucket import AlreadyThere, ObjectError, Uncertain
from featstore.objects.urls import Url
from featstore.store import object_writes
from featstore.store.object_writes import remove_objects, write_first, write_named, write_over
from helpers.buckets import MemoryBucket

URL, DATA = Url("s3", "b", "x/s-1.h5"), b"rows"
Answer = Callable[[MemoryBucket], None]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_writes, "PAUSES", (0.0, 0.0, 0.0))


def written_but_lost(bucket: MemoryBucket) -> None:
    bucket.store(URL.path, DATA)
    raise Uncertain("no answer")


def lost_and_tried_again(bucket: MemoryBucket) -> None:
    bucket.store(URL.path, DATA)
    raise AlreadyThere("it exists already")


def never_arrived(bucket: MemoryBucket) -> None:
    raise Uncertain("no answer")


def conflict(bucket: MemoryBucket) -> None:
    raise AlreadyThere("409")


def bucket_with(answers: list[Answer], of: str = "put") -> MemoryBucket:
    """A bucket whose first answers to requests that begin with `of` are those."""
    bucket, left = MemoryBucket(), list(answers)

    def before(kind: str, path: str) -> None:
        if kind.startswith(of) and left:
            left.pop(0)(bucket)

    bucket.before = before
    return bucket


ANSWERS: list[list[Answer]] = [
    [],
    [written_but_lost],
    [lost_and_tried_again],
    [never_arrived],
    [conflict],
    [conflict, never_arrived, written_but_lost],
]


@pytest.mark.parametrize("answers", ANSWERS)
def test_a_shard_is_there_whatever_the_answer_says(answers: list[Answer]) -> None:
    bucket = bucket_with(answers)
    state = write_named(bucket, URL, DATA)
    assert bucket.objects[URL.path] == (DATA, state)


@pytest.mark.parametrize("answers", ANSWERS)
def test_whoever_writes_the_spec_first_is_told_so(answers: list[Answer]) -> None:
    bucket = bucket_with(answers)
    assert write_first(bucket, URL, DATA)
    assert not write_first(bucket, URL, b"another's")
    assert bucket.objects[URL.path][0] == DATA


@pytest.mark.parametrize("answers", [[], [written_but_lost], [never_arrived]])
def test_what_is_replaced_is_there_whatever_the_answer_says(answers: list[Answer]) -> None:
    bucket = bucket_with(answers)
    bucket.store(URL.path, b"before")
    assert bucket.objects[URL.path][1] != write_over(bucket, URL, b"rows") == bucket.objects[URL.path][1]


def test_a_damaged_shard_is_replaced_and_a_sound_one_is_not() -> None:
    bucket = MemoryBucket()
    bucket.store(URL.path, b"ro")
    write_named(bucket, URL, DATA)
    assert bucket.objects[URL.path][0] == DATA
    assert bucket.requests["put"] == 1
    write_named(bucket, URL, DATA)
    assert bucket.requests["put"] == 1


def test_a_shard_that_others_remove_meanwhile_is_written_again() -> None:
    bucket, removals = MemoryBucket(), [1, 2]

    def before(kind: str, path: str) -> None:
        if kind == "head" and removals:
            removals.pop()
            bucket.objects.clear()

    bucket.before = before
    write_named(bucket, URL, DATA)
    assert bucket.objects[URL.path][0] == DATA


def test_after_some_attempts_one_line_says_that_what_is_stored_is_kept() -> None:
    bucket = bucket_with([never_arrived] * 100)
    with pytest.raises(
        StoreError, match=r"^s3://b/x/s-1.h5: cannot be written: no answer; all that is stored is kept: run the same"
    ):
        write_named(bucket, URL, DATA)
    assert bucket.requests["put_new"] == 4


def test_what_is_refused_is_not_tried_again() -> None:
    def refuse(bucket: MemoryBucket) -> None:
        raise ObjectError("403 Forbidden, PUT to b.s3.amazonaws.com")

    bucket = bucket_with([refuse] * 100)
    with pytest.raises(StoreError, match="403 Forbidden"):
        write_named(bucket, URL, DATA)
    assert bucket.requests["put_new"] == 1


def test_a_removal_says_whether_a_request_may_still_be_under_way() -> None:
    bucket = bucket_with([never_arrived], of="delete")
    bucket.store("x/a", b"")
    assert not remove_objects(bucket, Url("s3", "b", "x"), ["a"])
    assert "x/a" not in bucket.objects
    assert remove_objects(bucket, Url("s3", "b", "x"), ["a", "b"])
