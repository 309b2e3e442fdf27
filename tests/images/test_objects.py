"""Images of object storage: read ahead, within bounds, and never in part."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Picture
from featstore.datasets.sources import scan
from featstore.errors import StoreError, UnreadableImage
from featstore.images import read_ahead
from featstore.images.files import read_file
from featstore.images.prefetch import WINDOW, Fetched, fetch_all
from featstore.objects.bucket import ObjectError
from featstore.objects.known import THREADS
from featstore.objects.opening import open_bucket
from featstore.objects.state import SETTLED
from featstore.objects.urls import Url
from helpers.buckets import MemoryBucket, bucket_in_place


@pytest.fixture
def bucket() -> Iterator[MemoryBucket]:
    """150 objects, each with its own content."""
    made = MemoryBucket()
    for number in range(150):
        made.store(f"set/{number:03}.jpg", bytes([number]) * (number + 1))
    with bucket_in_place(made):
        yield made


def first_byte(raw: bytes) -> Any:
    return np.frombuffer(raw[:1], np.uint8)


def fetched(pictures: Any, threads: int = 2) -> list[Fetched]:
    return list(fetch_all(pictures, first_byte, lambda digest: True, threads))


def test_each_picture_has_its_own_bytes_in_the_order_given(bucket: MemoryBucket, tmp_path: Path) -> None:
    """Files on disk among them."""
    (tmp_path / "x.jpg").write_bytes(b"x")
    slow = {f"set/{number:03}.jpg": number % 7 / 1000 for number in range(150)}
    bucket.before = lambda kind, path: time.sleep(slow.get(path, 0))
    pictures = [*scan("s3://b/set").pictures, *scan(tmp_path / "x.jpg").pictures][::-1]
    found = fetched(pictures)
    assert [item.picture.path for item in found] == [picture.path for picture in pictures]
    assert [int(item.pixels[0]) for item in found] == [ord("x"), *range(149, -1, -1)]
    for item in found[1:]:
        raw = bucket.objects[item.picture.path.removeprefix("s3://b/")][0]
        assert item.picture.digest == hashlib.sha256(raw).hexdigest()


def test_many_answers_are_waited_for_at_once(bucket: MemoryBucket) -> None:
    """With two threads that decode; else 150 answers of 20 ms would take 1.5 s."""
    waiting, most, lock = [0], [0], threading.Lock()

    def wait(kind: str, path: str) -> None:
        with lock:
            waiting[0] += kind == "get"
            most[0] = max(most[0], waiting[0])
        time.sleep(0.02)
        with lock:
            waiting[0] -= kind == "get"

    pictures = scan("s3://b/set").pictures
    bucket.before = wait
    assert len(fetched(pictures)) == 150
    assert most[0] == THREADS


def test_what_waits_is_bounded_in_number_and_in_bytes(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = scan("s3://b/set").pictures
    bucket.forget_requests()
    stream = iter(fetch_all(pictures, first_byte, lambda digest: True, 2))
    next(stream)
    time.sleep(0.1)
    assert bucket.requests["get"] <= WINDOW
    monkeypatch.setattr(read_ahead, "AHEAD_BYTES", 1000)
    bucket.forget_requests()
    large = [picture._replace(stat=picture.stat._replace(size=300)) for picture in pictures]
    stream = iter(fetch_all(large, first_byte, lambda digest: True, 2))
    next(stream)
    time.sleep(0.1)
    assert bucket.requests["get"] == 4


def test_a_large_object_is_not_asked_for(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its size is known from a listing or not; and one that has grown since is refused all the same."""
    monkeypatch.setenv("FEATSTORE_MAX_BYTES", "100")
    [large] = scan("s3://b/set/120.jpg").pictures
    bucket.forget_requests()
    for size in (large.stat.size, None):
        with pytest.raises(UnreadableImage, match="FEATSTORE_MAX_BYTES"):
            read_file(large.path, size)
    assert bucket.requests == {"head": 1}
    with pytest.raises(UnreadableImage, match="FEATSTORE_MAX_BYTES"):
        read_file(large.path, 10)


def test_an_object_that_changes_after_the_listing_is_read_as_it_is_then(bucket: MemoryBucket, tmp_path: Path) -> None:
    """Its digest is remembered for the state that it is of, never for the one that was listed."""
    [listed] = scan("s3://b/set/007.jpg").pictures
    bucket.store("set/007.jpg", b"other")
    memory = DigestMemory(tmp_path)
    assert memory.get(listed.path, listed.stat) is None
    [found] = fetched([listed])
    memory.remember(found.picture.path, found.picture.stat, found.picture.digest, found.grain)
    assert found.picture.digest == hashlib.sha256(b"other").hexdigest()
    assert memory.get(listed.path, listed.stat) is None
    [now] = scan("s3://b/set/007.jpg").pictures
    assert memory.get(now.path, now.stat) == found.picture.digest


def test_an_object_that_was_just_written_is_remembered(bucket: MemoryBucket) -> None:
    """Its ETag says which content it is; without one its time does, in whole seconds of another clock."""
    assert read_file("s3://b/set/007.jpg").grain == SETTLED
    raw, state = bucket.objects["set/007.jpg"]
    bucket.objects["set/007.jpg"] = raw, state._replace(inode=0)
    grain = read_file("s3://b/set/007.jpg").grain
    assert grain is not None
    assert grain >= 600_000_000_000


def test_an_object_that_is_gone_is_left_out_and_the_rest_goes_on(bucket: MemoryBucket) -> None:
    pictures = scan("s3://b/set").pictures
    del bucket.objects["set/003.jpg"]
    found = fetched(pictures)
    assert [item.picture.path for item in found if item.reason] == ["s3://b/set/003.jpg"]
    assert found[3].reason == "cannot be opened: no such object"


def test_storage_that_does_not_answer_is_not_an_unreadable_image(bucket: MemoryBucket) -> None:
    """A token that is too old would else have the second half of a data set left out."""
    pictures: tuple[Picture, ...] = scan("s3://b/set").pictures

    def expire(kind: str, path: str) -> None:
        if path >= "set/100.jpg":
            raise ObjectError("400 Bad Request (ExpiredToken), GET to host")

    bucket.before = expire
    seen = []
    with pytest.raises(StoreError, match="ExpiredToken.*what is stored is kept") as error:
        seen += fetch_all(pictures, first_byte, lambda digest: True, 2)
    assert "\n" not in str(error.value)


def test_a_real_server(s3: Url) -> None:
    """Its listing, its states, and names that a URL would have to quote."""
    names = ["a b.jpg", "a%20b#c?d+e.jpg", "\u00fc.jpg"]
    for name in names:
        open_bucket(s3).put(f"set/{name}", name.encode())
    manifest = scan(f"{s3}/set")
    found = fetched(manifest.pictures)
    assert [(item.picture.path, item.picture.digest) for item in found] == [
        (f"{s3}/set/{name}", hashlib.sha256(name.encode()).hexdigest()) for name in sorted(names)
    ]
    assert [item.picture.stat for item in found] == [picture.stat for picture in manifest.pictures]
    assert {item.grain for item in found} == {SETTLED}
    open_bucket(s3).put("list.csv", ("path\n" + "".join(f"set/{name}\n" for name in names)).encode())
    assert {p.path: p.stat for p in scan(f"{s3}/list.csv").pictures} == {p.path: p.stat for p in manifest.pictures}
