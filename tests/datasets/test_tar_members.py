"""The files of tars by their paths: their bytes and states, on disk and by URL, also when the tar is replaced."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from featstore.datasets import tar_files, tar_headers, tar_members
from featstore.datasets.digests import DigestMemory
from featstore.datasets.sources import scan
from featstore.datasets.tar_files import open_tar
from featstore.datasets.tar_members import index_of, keep_indexes, member_state
from featstore.errors import DataError, UnreadableImage
from featstore.extraction.cache import Cache
from featstore.images.files import read_file
from featstore.objects.bucket import ObjectError
from featstore.system.member_paths import Member, find_member, join_path, split_path, unpacked_path
from featstore.system.stamps import LOCAL_NS
from helpers.buckets import MemoryBucket, bucket_in_place
from helpers.faulty_buckets import FaultyBucket, Network
from helpers.tars import forget_tars, tar_bytes, write_tar

FILES = {"cats/1.jpg": b"one" * 400, "2.jpg": b"two", "2.cls": b"cat"}


@pytest.fixture(autouse=True)
def forgotten(tmp_path: Path) -> Iterator[None]:
    """Nothing is known of a tar from another test, and indexes are kept in a folder of the test."""
    forget_tars()
    keep_indexes(tmp_path / "indexes")
    yield
    tar_members._folder = None


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    return write_tar(tmp_path / "x.tar", FILES)


@pytest.fixture
def bucket() -> Iterator[MemoryBucket]:
    with bucket_in_place(MemoryBucket()) as made:
        assert isinstance(made, MemoryBucket)
        made.store("x.tar", tar_bytes(FILES))
        yield made


def test_a_member_is_read_as_a_file_is(tar: Path, bucket: MemoryBucket) -> None:
    for name, data in FILES.items():
        for place in (str(tar), "s3://b/x.tar"):
            found = read_file(f"{place}!{name}")
            assert found.raw == data
            assert found.state == member_state(Member(place, name))
            assert found.state.size == len(data)


def test_what_cannot_be_read_has_a_reason(tar: Path, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tar.with_name("broken.tar")
    broken.write_bytes(b"x" * 600)
    for path, reason in (
        (f"{tar}!no.jpg", "no such file in the tar"),
        (f"{tar}?.tar!1.jpg", "No such file"),
        (f"{broken}!1.jpg", "is not a tar"),
        ("s3://b/no.tar!1.jpg", "no such object"),
        ("s3://b/x.tar!no.jpg", "no such file in the tar"),
    ):
        with pytest.raises(UnreadableImage, match=reason):
            read_file(path)
    monkeypatch.setenv("FEATSTORE_MAX_BYTES", "1000")
    with pytest.raises(UnreadableImage, match="FEATSTORE_MAX_BYTES"):
        read_file(f"{tar}!cats/1.jpg")


def test_what_is_on_disk_comes_first(tar: Path, tmp_path: Path) -> None:
    """A file may be called like a member, and a folder like a tar."""
    Path(f"{tar}!2.jpg").write_bytes(b"a file")
    assert read_file(f"{tar}!2.jpg").raw == b"a file"
    assert read_file(f"{tar}!cats/1.jpg").raw == FILES["cats/1.jpg"]
    inner = write_tar(tmp_path / "y.tar!z" / "w.tar", {"1.jpg": b"inner"})
    assert find_member(f"{inner}!1.jpg") == Member(str(inner), "1.jpg")
    assert read_file(f"{inner}!1.jpg").raw == b"inner"


def test_the_parts_of_paths() -> None:
    assert split_path("a/x.tar!cats/1.jpg") == ("a/x.tar!", "cats/1.jpg")
    assert split_path("s3://b/X.TAR!1.jpg") == ("s3://b/X.TAR!", "1.jpg")
    assert split_path("a/b!c.jpg") == ("a", "b!c.jpg")
    for path in ("a/x.tar!cats/1.jpg", "a/b!c.jpg", "s3://b/X.TAR!1.jpg"):
        assert join_path(*split_path(path)) == path
    assert unpacked_path("a/x.tar!cats/1.jpg") == "a/cats/1.jpg"
    assert unpacked_path("a/1.jpg") == "a/1.jpg"


def test_the_state_changes_with_the_tar_and_the_place_in_it(tar: Path) -> None:
    """So that a digest that is remembered for it holds for these bytes only."""
    member = Member(str(tar), "2.jpg")
    before = member_state(member)
    stamps = tar.stat()
    files = {"2.jpg": FILES["2.jpg"], "cats/1.jpg": FILES["cats/1.jpg"], "2.cls": b"cat"}
    write_tar(tar, files)
    os.utime(tar, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    moved = member_state(member)
    assert moved[:2] == before[:2]
    assert moved.inode != before.inode
    assert read_file(f"{tar}!2.jpg").state == moved
    assert moved != member_state(Member(str(tar), "2.cls"))


def test_digests_are_remembered_in_one_file_for_each_tar(tar: Path, tmp_path: Path) -> None:
    folder, digest = tmp_path / "digests", "ab" * 32
    memory = DigestMemory(folder, clock=lambda: 10**19)
    paths = [f"{tar}!{name}" for name in FILES]
    for path in paths:
        found = read_file(path)
        assert memory.get(path, found.state) is None
        memory.remember(path, found.state, digest, found.grain or LOCAL_NS)
    memory.save()
    assert len(list(folder.iterdir())) == 1
    again = DigestMemory(folder)
    assert [again.get(path, read_file(path).state) for path in paths] == [digest] * 3
    assert again.paths([digest])[digest] in paths
    write_tar(tar, {**FILES, "2.jpg": b"new"})
    assert again.get(paths[1], read_file(paths[1]).state) is None


def test_an_index_is_kept_for_one_state_of_its_tar(tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose tar changed within the grain of its stamps is not kept; a damaged one is not believed."""
    folder, passes = tmp_path / "indexes", []
    whole = tar_headers.read_contents
    monkeypatch.setattr(tar_headers, "read_contents", lambda *a: passes.append(a) or whole(*a))

    def look() -> list[str]:
        tar_members._indexes.clear()
        return list(index_of(open_tar(str(tar))))

    assert look() == [*FILES]
    assert not folder.exists()
    now = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: now() + 10**12)
    assert look() == [*FILES]
    assert len(passes) == 2
    assert len(list(folder.iterdir())) == 1
    assert look() == [*FILES]
    assert len(passes) == 2
    file = next(folder.iterdir())
    file.write_bytes(file.read_bytes().replace(b"2.jpg", b"3.jpg"))
    assert look() == [*FILES]
    write_tar(tar, {"4.jpg": b"x"})
    assert look() == ["4.jpg"]
    assert len(passes) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("starts", [2**70, 0, 0]),
        ("starts", [-1, 0, 0]),
        ("sizes", [10**9, 0, 0]),
        ("sizes", [1]),
        ("names", [1, 2, 3]),
        ("labels", [1]),
        ("labels", {"2.cls": 7}),
        ("skipped", [["a"]]),
        ("format", 2),
    ],
)
def test_a_kept_index_of_a_stranger_is_not_believed(
    bucket: MemoryBucket, tmp_path: Path, name: str, value: Any
) -> None:
    """Anyone who may write in the cache can make its check sum."""
    assert [*index_of(open_tar("s3://b/x.tar"))] == [*FILES]
    file = next((tmp_path / "indexes").iterdir())
    content = json.loads(file.read_bytes().partition(b"\n")[2])
    text = json.dumps(content | {name: value}).encode()
    file.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    forget_tars()
    assert read_file("s3://b/x.tar!2.jpg").raw == b"two"
    assert index_of(open_tar("s3://b/x.tar")).labels == {"2.cls": "cat"}


def test_a_kept_index_says_all_that_the_pass_has_found(tar: Path, tmp_path: Path, bucket: MemoryBucket) -> None:
    bucket.store("x.tar", tar_bytes({**FILES, "../out.jpg": b"x"}))
    first = index_of(open_tar("s3://b/x.tar"))
    tar_members._indexes.clear()
    bucket.forget_requests()
    again = index_of(open_tar("s3://b/x.tar"))
    assert not bucket.requests
    assert json.dumps(again.as_json()) == json.dumps(first.as_json())
    assert again.labels == {"2.cls": "cat"}
    assert len(again.skipped) == 1


def test_by_url_a_tar_takes_few_requests_and_a_member_one(bucket: MemoryBucket) -> None:
    bucket.store("x.tar", tar_bytes({f"{number:04}.jpg": bytes(1000) for number in range(2000)}))
    assert len(read_file("s3://b/x.tar!0000.jpg").raw) == 1000
    assert bucket.requests.total() <= 5
    bucket.forget_requests()
    for number in range(10):
        read_file(f"s3://b/x.tar!{number:04}.jpg")
    assert bucket.requests == {"get_range": 10}


def test_a_tar_that_was_replaced_is_read_anew(tar: Path, bucket: MemoryBucket) -> None:
    """By URL no question is asked for each file: each answer says of which object its bytes are."""
    shorter, other = {"2.jpg": b"2nd"}, {**FILES, "2.jpg": b"TWO"}  # of the other one only the bytes differ
    for files in (other, shorter):
        for place in (str(tar), "s3://b/x.tar"):
            assert read_file(f"{place}!2.jpg").raw != files["2.jpg"]
        write_tar(tar, files)
        bucket.store("x.tar", tar_bytes(files))
        for place in (str(tar), "s3://b/x.tar"):
            found = read_file(f"{place}!2.jpg")
            assert found.raw == files["2.jpg"]
            assert found.state == member_state(Member(place, "2.jpg"))
    with pytest.raises(UnreadableImage, match="no such file"):
        read_file("s3://b/x.tar!cats/1.jpg")


def test_a_tar_that_changes_under_the_pass_is_refused(bucket: MemoryBucket) -> None:
    """An index of two tars would be wrong, and so would labels."""
    data = tar_bytes({f"{number}.jpg": bytes(2**20) for number in range(6)})
    bucket.store("x.tar", data)

    def replaced(kind: str, path: str) -> None:
        if bucket.requests["get_range"] == 3:
            bucket.store("x.tar", data.replace(b"3.jpg", b"4.jpg"))

    bucket.before = replaced
    with pytest.raises(DataError, match="changed while it was read"):
        index_of(open_tar("s3://b/x.tar"))


def test_an_answer_that_is_torn_is_not_the_end_of_a_tar() -> None:
    """It is an error of the network; fewer files in the index would look like a smaller data set."""
    server = MemoryBucket()
    server.store("x.tar", tar_bytes(FILES))
    faulty = FaultyBucket(Network(server), 1, "short")
    with bucket_in_place(faulty), pytest.raises(ObjectError, match="bytes came of"):
        index_of(open_tar("s3://b/x.tar"))


def test_a_process_that_opens_a_cache_finds_the_indexes_in_it(bucket: MemoryBucket, tmp_path: Path) -> None:
    """As a worker of a cluster does, which is told paths of images and a cache."""
    scan("s3://b/x.tar", cache=tmp_path / "cache")
    forget_tars()
    keep_indexes(tmp_path / "elsewhere")
    bucket.forget_requests()
    Cache(tmp_path / "cache")
    assert read_file("s3://b/x.tar!2.jpg").raw == b"two"
    assert bucket.requests == {"head": 1, "get_range": 1}


def test_threads_share_a_bounded_number_of_open_tars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor is not closed under a thread that reads from it, and none is left open."""
    monkeypatch.setattr(tar_files, "_MOST_OPEN", 2)
    paths = [str(write_tar(tmp_path / f"{number}.tar", {"1.jpg": bytes([number]) * 9000})) for number in range(6)]
    before = len(os.listdir("/proc/self/fd"))
    wrong: list[str] = []

    def read() -> None:
        for number in [*range(6)] * 20:
            if read_file(f"{paths[number]}!1.jpg").raw != bytes([number]) * 9000:
                wrong.append(paths[number])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_indexes_in_memory_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_members, "_MOST_FILES", 4)
    for number in range(4):
        path = write_tar(tmp_path / f"{number}.tar", FILES)
        assert len(read_file(f"{path}!2.jpg").raw) == 3
    assert len(tar_members._indexes) == 1
