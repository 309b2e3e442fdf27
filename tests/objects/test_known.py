"""Objects that are named one by one are asked for in few requests, and each gets its own state."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from featstore.objects.bucket import ObjectError
from featstore.objects.known import KnownObjects
from featstore.system.files import FileStat
from helpers.buckets import MemoryBucket, bucket_in_place


@pytest.fixture
def bucket() -> Iterator[MemoryBucket]:
    made = MemoryBucket()
    for number in range(300):
        made.store(f"photos/{number % 3}/{number}.jpg", bytes(number))
    with bucket_in_place(made):
        yield made


def urls(count: int, folder: str = "photos") -> list[str]:
    return [f"s3://b/{folder}/{number % 3}/{number}.jpg" for number in range(count)]


def sizes(known: KnownObjects, named: list[str]) -> list[int | str]:
    states = [known.state(url) for url in named]
    return [state.size if isinstance(state, FileStat) else state for state in states]


@pytest.mark.parametrize("count", [1, 16, 17, 300])
def test_each_object_has_its_own_state(bucket: MemoryBucket, count: int) -> None:
    """Of few, each is asked for; of many, their folder is listed."""
    known = KnownObjects()
    named = [*urls(count), "s3://b/photos/0/none.jpg", "s3://b/photos/a\nb.jpg"]
    known.look_up(named)
    assert sizes(known, named) == [*range(count), "no such object", "no object can be named so"]
    assert bucket.requests == ({"head": count + 1} if count < 16 else {"list": 1})


def test_a_folder_with_far_more_in_it_is_not_listed(bucket: MemoryBucket) -> None:
    """Those that are named are then asked for by the folders that they are in."""
    for number in range(3000):
        bucket.store(f"another/{number}.jpg", b"")
    bucket.store("zoo/1.jpg", b"zoo")
    known = KnownObjects()
    known.look_up([*urls(60), "s3://b/zoo/1.jpg"])
    assert sizes(known, urls(60)) == [*range(60)]
    assert sizes(known, ["s3://b/zoo/1.jpg"]) == [3]
    assert bucket.requests["list"] <= 5
    assert bucket.requests["head"] == 1


def test_without_the_right_to_list_objects_are_asked_for(bucket: MemoryBucket) -> None:
    def refuse(kind: str, path: str) -> None:
        if kind == "list":
            raise ObjectError("403")

    bucket.before = refuse
    known = KnownObjects()
    known.look_up(urls(40))
    assert sizes(known, urls(40)) == [*range(40)]


def test_a_server_that_is_not_there_is_not_asked_for_every_object(bucket: MemoryBucket) -> None:
    def fail(kind: str, path: str) -> None:
        time.sleep(0.01)
        raise ObjectError("no answer")

    bucket.before = fail
    with pytest.raises(OSError, match="no answer"):
        KnownObjects().look_up(urls(300))
    assert bucket.requests["head"] < 300


def test_an_object_is_left_out_only_if_it_is_not_there(bucket: MemoryBucket) -> None:
    """A token that is too old would else leave out all that come after."""

    def refuse(kind: str, path: str) -> None:
        if path.endswith("/2.jpg"):
            raise ObjectError("403 Forbidden")

    bucket.before = refuse
    with pytest.raises(OSError, match="s3://b/photos/2/2.jpg: 403 Forbidden"):
        KnownObjects().look_up(urls(3))
