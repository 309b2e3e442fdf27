"""The store on object storage: it does what it does on a disk, with few requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import helpers.buckets
from featstore.errors import StoreError
from featstore.objects.bucket import ObjectError, Uncertain
from featstore.objects.urls import Url
from featstore.store import object_folder, object_index, object_locks, object_writes
from featstore.store.compaction import compact_key
from featstore.store.index import parse_index
from featstore.store.keys import describe_key, key_folders
from featstore.store.layout import INDEX_PART, SHARD_NAME
from featstore.store.object_folder import ObjectFolder
from featstore.store.pruning import prune_key
from featstore.store.repair import repair_key
from featstore.store.rowstore import RowStore
from featstore.store.verify import verify_key
from helpers.buckets import MemoryBucket, bucket_in_place
from helpers.keyfolder import SPEC, folder_of, ids, key_of, open_key, rows, text_of

CACHE = Url("s3", "b", "team/cache")
FOLDER = folder_of(CACHE)
EVERY_ROW = range(6)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBucket]:
    on_machine(tmp_path / "machine", monkeypatch)
    monkeypatch.setattr(object_writes, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(object_locks, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(object_folder, "_noted", {})
    bucket = MemoryBucket()
    with bucket_in_place(bucket):
        yield bucket


def on_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be on the machine that keeps its copies in that folder."""
    monkeypatch.setenv("FEATSTORE_LOCAL", str(folder))


def fill(cache: Path | Url = CACHE, shards: int = 3, each: int = 2) -> None:
    with open_key(cache).writing() as writer:
        for first in range(0, shards * each, each):
            writer.append(ids(*range(first, first + each)), rows(*range(first, first + each)))


def shards(bucket: MemoryBucket) -> list[str]:
    return [path for path in sorted(bucket.objects) if SHARD_NAME.fullmatch(path.rpartition("/")[2])]


def is_complete(store: RowStore) -> bool:
    return np.array_equal(store.read(ids(*EVERY_ROW)), rows(*EVERY_ROW))


def test_a_bucket_copied_into_a_folder_is_a_sound_cache(bucket: MemoryBucket, tmp_path: Path) -> None:
    fill(CACHE)
    fill(tmp_path / "plain")
    for path, (data, _) in bucket.objects.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    copied, plain = folder_of(tmp_path / "team" / "cache"), folder_of(tmp_path / "plain")
    for file in [*plain.glob("s-*.h5"), plain / "spec.json"]:
        assert (copied / file.name).read_bytes() == file.read_bytes()
    assert sorted(copied.glob("s-*.h5")) == sorted(copied / file.name for file in plain.glob("s-*.h5"))
    found = verify_key(copied)
    assert (found.faults, found.rows) == ([], 6)
    assert is_complete(open_key(tmp_path / "team" / "cache"))


def test_nothing_is_left_beside_what_was_stored(bucket: MemoryBucket) -> None:
    fill()
    others = {path.removeprefix(f"{FOLDER.path}/") for path in bucket.objects if path not in shards(bucket)}
    assert others == {"spec.json", "index", "used"}


def test_another_machine_opens_a_key_with_three_requests_and_fetches_each_shard_once(
    bucket: MemoryBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    on_machine(tmp_path / "other", monkeypatch)
    bucket.forget_requests()
    store = open_key(CACHE)
    assert store.which(ids(*EVERY_ROW, 7)) == [True] * 6 + [False]
    assert bucket.requests == {"get": 2, "list": 1}  # spec.json, the index
    for _ in range(2):
        assert is_complete(store)
    assert is_complete(open_key(CACHE))
    assert bucket.requests["get"] == 2 + 3 + 1  # the second store reads spec.json, and has the rest here
    assert bucket.requests["list"] == 2


def test_a_run_with_nothing_to_do_makes_a_few_requests(bucket: MemoryBucket) -> None:
    fill()
    bucket.forget_requests()
    store = open_key(CACHE)
    with store.writing():
        for _ in range(1000):  # as for each image
            store.refresh()
    assert store.which(ids(*EVERY_ROW)) == [True] * 6
    assert bucket.requests.total() <= 6


def test_rows_of_others_show_after_a_few_seconds(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    fill()
    store = open_key(CACHE)
    with open_key(CACHE).writing() as writer:
        writer.append(ids(9), rows(9))
    assert not store.refresh()
    now = object_folder.monotonic()
    monkeypatch.setattr(object_folder, "monotonic", lambda: now + 5)
    assert store.refresh()
    assert ids(9)[0] in store
    assert not store.refresh()


def test_a_process_whose_work_was_parted_does_not_fetch_the_rows_of_others(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATSTORE_CLAIMS", "off")
    store = open_key(CACHE)
    fill()
    now = object_folder.monotonic()
    monkeypatch.setattr(object_folder, "monotonic", lambda: now + 50)
    bucket.forget_requests()
    assert not store.refresh()
    assert not store.refresh(every_file=True)
    assert bucket.requests == {"get": 1}  # spec.json
    with store.writing() as writer:  # a row that another one has made as well
        writer.append(ids(0, 1), rows(0, 1))
    assert len(store) == 2
    assert is_complete(open_key(CACHE))  # the next command


def test_processes_whose_work_was_parted_write_an_index_of_their_own_shards(
    bucket: MemoryBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATSTORE_CLAIMS", "off")
    workers = [open_key(CACHE) for _ in range(3)]
    for number, worker in enumerate(workers):
        with worker.writing() as writer:
            writer.append(ids(2 * number, 2 * number + 1), rows(2 * number, 2 * number + 1))
    assert len(parts(bucket)) == 3
    assert f"{FOLDER.path}/index" not in bucket.objects
    assert verify_key(FOLDER).faults == []
    monkeypatch.setenv("FEATSTORE_CLAIMS", "on")
    on_machine(tmp_path / "driver", monkeypatch)
    bucket.forget_requests()
    driver = open_key(CACHE)
    assert driver.which(ids(*EVERY_ROW)) == [True] * 6
    assert bucket.requests == {"get": 1 + 3, "list": 1}  # spec.json and the parts: no shard
    with driver.writing() as writer:
        writer.append(ids(7), rows(7))
    assert not parts(bucket)  # one index is in their place
    bucket.forget_requests()
    assert is_complete(open_key(CACHE))
    assert bucket.requests == {"get": 1 + 3, "list": 1}  # spec.json and the shards


def test_a_reader_of_many_parts_writes_one_index(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_index, "MANY", 2)
    monkeypatch.setenv("FEATSTORE_CLAIMS", "off")
    for shards in range(1, 4):
        fill(shards=shards)
    bucket.store(parts(bucket)[0], b"torn")
    monkeypatch.delenv("FEATSTORE_CLAIMS")
    store = open_key(CACHE)
    assert is_complete(store)
    assert not parts(bucket)
    store.save_index()  # the shards of the part that was torn were read
    index = parse_index(bucket.objects[f"{FOLDER.path}/index"][0])
    assert index is not None and len(index.shards) == 3


def parts(bucket: MemoryBucket) -> list[str]:
    return [path for path in sorted(bucket.objects) if INDEX_PART.fullmatch(path.rpartition("/")[2])]


@pytest.mark.parametrize("index", [b"", b"torn", b"0" * 64 + b"\n{}\n"])
def test_an_index_that_is_torn_or_forged_is_made_again(
    bucket: MemoryBucket, index: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    good = bucket.objects[f"{FOLDER.path}/index"][0]
    bucket.store(f"{FOLDER.path}/index", index)
    on_machine(tmp_path / "other", monkeypatch)
    store = open_key(CACHE)
    assert is_complete(store)
    store.save_index()
    assert bucket.objects[f"{FOLDER.path}/index"][0] == good


def test_a_damaged_shard_is_passed_over_and_its_rows_are_written_again(
    bucket: MemoryBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    damaged = shards(bucket)[1]
    bucket.store(damaged, bucket.objects[damaged][0][:-1])
    on_machine(tmp_path / "other", monkeypatch)
    store = open_key(CACHE)
    (line,) = store.damaged
    assert line == f"{damaged.rpartition('/')[2]}: the bytes do not match the name: damaged"
    assert len(store) == 4
    bucket.forget_requests()
    store.refresh(every_file=True)
    assert bucket.requests["get"] <= 2  # spec.json and the index: it has not been replaced
    fill()
    assert is_complete(open_key(CACHE))
    assert not open_key(CACHE).damaged


def test_rows_that_move_while_many_shards_are_listed_are_not_missed(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page of a listing is of its own moment: a shard may have gone from the second one, into the first one."""
    for module, name in ((helpers.buckets, "PAGE"), (object_folder, "_PAGE")):
        monkeypatch.setattr(module, name, 3)
    fill(shards=6, each=1)
    store = open_key(CACHE)
    listed = dict(bucket.objects)
    last = shards(bucket)[-1]
    bucket.objects = {path: found for path, found in listed.items() if path not in (last, f"{FOLDER.path}/index")}

    def before(kind: str, path: str) -> None:
        if kind == "list" and bucket.requests["list"] > 1:
            bucket.objects = listed

    bucket.forget_requests()
    bucket.before = before
    assert is_complete(store)
    folder = ObjectFolder(FOLDER)
    found = folder.shards()
    assert folder.is_of_one_moment(found, folder.stamp())
    del bucket.objects[shards(bucket)[0]]
    assert not folder.is_of_one_moment(found, folder.stamp())


def test_what_looks_after_a_cache_works(bucket: MemoryBucket) -> None:
    fill()
    assert key_folders(CACHE) == [FOLDER]
    info = describe_key(FOLDER)
    assert info is not None
    assert (info.key, info.rows, info.shards, info.problem) == (key_of(SPEC), 6, 3, None)
    assert info.bytes == sum(len(data) for data, _ in bucket.objects.values())
    reader = open_key(CACHE)
    done = compact_key(FOLDER)
    assert done.shards == (3, 1)
    assert len(shards(bucket)) == 1
    assert is_complete(reader)  # which finds the rows in their new place
    assert is_complete(open_key(CACHE))
    assert verify_key(FOLDER).faults == []


def test_repair_moves_damaged_shards_aside_and_makes_the_rest_again(bucket: MemoryBucket) -> None:
    fill()
    damaged = shards(bucket)[0]
    bucket.store(damaged, b"x")
    del bucket.objects[f"{FOLDER.path}/spec.json"]
    bucket.store(f"{FOLDER.path}/claims/rows-dead-0", b"")
    now = bucket.clock
    bucket.clock = lambda: now() + 62
    done = repair_key(FOLDER)
    assert (len(done.quarantined), done.restored, done.cleared, done.unmended) == (1, True, 1, ())
    assert bucket.objects[f"{FOLDER.path}/quarantine/{damaged.rpartition('/')[2]}"][0] == b"x"
    assert len(open_key(CACHE)) == 4
    fill()
    assert is_complete(open_key(CACHE))
    bucket.store(damaged, b"y")
    repair_key(FOLDER)
    assert bucket.objects[f"{FOLDER.path}/quarantine/{damaged.rpartition('/')[2]}.2"][0] == b"y"


def test_a_pruned_key_is_gone_with_what_a_late_writer_adds(bucket: MemoryBucket) -> None:
    fill()
    bucket.store(f"{FOLDER.path}/notes.txt", b"mine")
    bucket.store(f"{FOLDER.path}/index-1", b"of a cache on a disk that was copied into the bucket")
    late = dict(bucket.objects)

    def before(kind: str, path: str) -> None:
        if kind == "delete" and path.endswith("spec.json"):
            bucket.before = lambda kind, path: None
            name = next(path for path in late if "/s-" in path)
            bucket.objects[name] = late[name]

    bucket.before = before
    assert prune_key(FOLDER) == ["notes.txt"]
    assert list(bucket.objects) == [f"{FOLDER.path}/notes.txt"]
    assert key_folders(CACHE) == []


def test_a_shard_is_taken_back_if_the_key_was_begun_again_meanwhile(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer stands still for minutes before its request. Its key is pruned, and begun by other libraries."""
    now = [0.0]
    monkeypatch.setattr(object_folder, "monotonic", lambda: now[0])
    fill()

    def before(kind: str, path: str) -> None:
        if kind == "put_new":
            bucket.before = lambda kind, path: None
            now[0] += 300
            for name in shards(bucket):
                del bucket.objects[name]
            bucket.store(f"{FOLDER.path}/spec.json", b"another")

    with open_key(CACHE).writing() as writer:
        bucket.before = before
        with pytest.raises(StoreError, match="begun again while this process stood still: run the same command again"):
            writer.append(ids(9), rows(9))
        assert not shards(bucket)


def test_a_key_is_not_pruned_beside_a_writer(bucket: MemoryBucket) -> None:
    store = open_key(CACHE)
    with store.writing() as writer:
        writer.append(ids(0), rows(0))
        for remove in (prune_key, compact_key, repair_key):
            with pytest.raises(StoreError, match="in use by another process"):
                remove(FOLDER)
    prune_key(FOLDER)
    assert not bucket.objects


def test_of_two_that_begin_a_key_at_once_one_is_the_first(bucket: MemoryBucket) -> None:
    """The second one was made in another environment, which shows as without a canary it could not be compared."""
    one, two = (RowStore(FOLDER, key_of(SPEC), text_of(SPEC), lambda n=n: {"numpy": n}) for n in "12")
    with one.writing() as first, two.writing() as second:
        first.append(ids(0), rows(0))
        with pytest.raises(StoreError, match="another process has begun this key just now in another environment"):
            second.append(ids(1), rows(1))
    assert len(shards(bucket)) == 1


def test_no_key_is_begun_where_rows_of_unknown_origin_are(bucket: MemoryBucket) -> None:
    fill()
    del bucket.objects[f"{FOLDER.path}/spec.json"]
    with pytest.raises(StoreError, match=r"spec.json: is missing, though there are rows: `featstore cache repair`"):
        fill(shards=4)
    repair_key(FOLDER)
    fill(shards=4)


def test_no_key_is_begun_on_a_server_that_ignores_the_condition(bucket: MemoryBucket) -> None:
    bucket.ignores_condition = True
    with pytest.raises(StoreError, match="s3://b: the server ignores the condition"):
        fill()
    assert not bucket.objects


def test_a_cache_that_may_only_be_read_is_read(bucket: MemoryBucket) -> None:
    fill()

    def refuse(kind: str, path: str) -> None:
        if kind in ("put", "put_new", "delete"):
            raise ObjectError("403 Forbidden, PUT to b.s3.amazonaws.com")

    bucket.before = refuse
    store = open_key(CACHE)
    assert is_complete(store)
    with pytest.raises(StoreError) as caught, store.writing() as writer:
        writer.append(ids(9), rows(9))
    assert str(caught.value).count("\n") == 0
    assert "cannot be written: 403 Forbidden" in str(caught.value)
    assert len(key_folders(CACHE)) == 1


def test_a_server_that_is_away_is_an_error_in_one_line(bucket: MemoryBucket) -> None:
    def silent(kind: str, path: str) -> None:
        raise (Uncertain if "put" in kind else ObjectError)("no answer, GET to b.s3.amazonaws.com")

    bucket.before = silent
    for request in (
        lambda: open_key(CACHE),
        lambda: key_folders(CACHE),
        lambda: prune_key(FOLDER),
        lambda: ObjectFolder(FOLDER).shards(),
    ):
        with pytest.raises(StoreError, match="no answer, GET to b.s3.amazonaws.com") as caught:
            request()
        assert "\n" not in str(caught.value)


def test_a_forked_process_is_told_so(bucket: MemoryBucket) -> None:
    """Its threads that speak to the server are not in it: it would wait for ever."""
    fill()
    open_key(CACHE)
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            open_key(CACHE)
        except StoreError as error:
            os.write(send, str(error).encode())
        finally:
            os._exit(0)
    os.close(send)
    os.waitpid(child, 0)
    with open(receive) as file:
        assert "was forked: start it with spawn instead" in file.read()


def test_a_place_without_keys_is_no_cache(bucket: MemoryBucket) -> None:
    with pytest.raises(StoreError, match=r"^s3://b/team/cache: nothing is stored there; name it with"):
        key_folders(CACHE)
    bucket.store("team/cache/tiny/notes-0123456789ab/readme", b"")
    assert key_folders(CACHE) == []
