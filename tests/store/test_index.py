"""The index: a derived file that is right or does not count."""

from __future__ import annotations

import hashlib
import json
import os
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featstore.errors import StoreError
from featstore.store import index as index_module
from featstore.store import index_part
from featstore.store.disk_folder import DiskFolder
from featstore.store.index import Index, load_index, part_name, save_index
from featstore.store.index_part import ShardEntry, make_part, parse_part
from featstore.store.verify import verify_key
from featstore.system.files import FileStat
from featstore.system.large_pages import Bytes
from helpers.keyfolder import filled, ids, open_key

SIZE = 34
Shards = dict[str, list[bytes]]  # ids by the name of the shard

digests = st.binary(min_size=SIZE, max_size=SIZE)
near = st.integers(0, 5).map(lambda n: bytes(33) + bytes([n]))  # ids that begin alike, as the views of an image do
contents = st.lists(st.lists(digests | near, min_size=1, max_size=30, unique=True), max_size=4)


def entry(name: str, rows: int) -> ShardEntry:
    return ShardEntry(name, (10**6, 2, 3, 4), rows, "float16", (7, 7), 2048, True)


def named(lists: list[list[bytes]]) -> Shards:
    """Return shards in an order of names that differs from that of the lists."""
    return {f"s-{hashlib.sha256(bytes([n])).hexdigest()}.h5": ids for n, ids in enumerate(lists)}


def built(shards: Shards) -> Index:
    entries = {name: entry(name, len(ids)) for name, ids in shards.items()}
    return Index().with_shards(entries, {name: b"".join(ids) for name, ids in shards.items()})


def served(shards: Shards) -> dict[bytes, tuple[str, int]]:
    """Return where each id is: in the first shard by name that has it."""
    return {row: (name, n) for name in sorted(shards, reverse=True) for n, row in enumerate(shards[name])}


def agrees(index: Index, shards: Shards) -> None:
    expected = served(shards)
    strangers = [bytes([n]) * SIZE for n in range(256)]
    assert len(index) == len(expected)
    assert {row: index.find(row) for row in [*expected, *strangers]} == {
        row: expected.get(row) for row in [*expected, *strangers]
    }
    assert all((row in index) == (row in expected) for row in [*expected, *strangers])
    asked = [*expected, *strangers]
    shard, number = index.find_all(np.frombuffer(b"".join(asked), f"V{SIZE}"))
    names = list(index.shards)
    found = [(names[s], n) if s >= 0 else None for s, n in zip(shard.tolist(), number.tolist(), strict=True)]
    assert found == [expected.get(row) for row in asked]
    assert index.which(asked) == [row in expected for row in asked]
    assert list(index.shards) == sorted(shards)
    assert all(index.ids_of(name) == b"".join(ids) for name, ids in shards.items())


@settings(deadline=None, max_examples=150)
@given(contents)
def test_it_is_a_dict(lists: list[list[bytes]]) -> None:
    """Each id leads to the first shard by name that has it; one that is nowhere leads nowhere."""
    agrees(built(named(lists)), named(lists))


@settings(deadline=None, max_examples=50)
@given(contents)
def test_it_is_a_dict_when_there_are_many(lists: list[list[bytes]]) -> None:
    """Ids are then searched for and not listed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_part, "_FEW", -1)
        agrees(built(named(lists)), named(lists))


@settings(deadline=None, max_examples=100)
@given(contents, contents, st.data())
def test_shards_come_and_go(first: list[list[bytes]], second: list[list[bytes]], data: st.DataObject) -> None:
    """What stays is taken over, what goes is forgotten, what is there twice has its new ids."""
    old, new = named(first), named(second)
    kept = data.draw(st.sets(st.sampled_from(sorted(old)))) if old else set()
    after = {name: ids for name, ids in old.items() if name in kept} | new
    entries = {name: entry(name, len(ids)) for name, ids in after.items()}
    agrees(built(old).with_shards(entries, {name: b"".join(ids) for name, ids in new.items()}), after)


@settings(deadline=None, max_examples=50)
@given(contents)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, lists: list[list[bytes]]) -> None:
    """Every field of every entry is the same, and the bytes do not depend on the order of the shards."""
    folder, shards = DiskFolder(tmp_path_factory.mktemp("index")), named(lists)
    save_index(folder, built(shards))
    loaded, first = load_index(folder), folder.read_index()
    assert loaded.shards == {name: entry(name, len(ids)) for name, ids in shards.items()}
    agrees(loaded, shards)
    shuffled = list(shards.items())
    random.Random(0).shuffle(shuffled)
    save_index(folder, built(dict(shuffled)))
    assert folder.read_index() == first


def test_shards_that_share_ids_are_known() -> None:
    """Two processes that made one row."""
    a, b, c = (bytes([n]) * SIZE for n in range(3))
    assert built({"s-1.h5": [a, b], "s-2.h5": [b], "s-3.h5": [c]}).repeated() == {"s-1.h5", "s-2.h5"}
    assert Index().repeated() == set()


def test_many_ids_are_found() -> None:
    """Spread as digests are, over many buckets; and views of one image side by side."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2000, 32), np.uint8)
    rows = [image.tobytes() + view.to_bytes(2, "big") for image in images for view in range(10)]
    shards = {"s-1.h5": rows[::2], "s-2.h5": rows[1::2]}
    index = built(shards)
    [part] = index.parts
    assert part._bits > 8
    expected = served(shards)
    assert all(index.find(row) == expected[row] for row in rows)
    shard, number = index.find_all(np.frombuffer(b"".join(rows), f"V{SIZE}"))
    assert [(f"s-{s + 1}.h5", n) for s, n in zip(shard.tolist(), number.tolist(), strict=True)] == [
        expected[row] for row in rows
    ]


def test_an_id_that_lies_across_two_records_is_not_there() -> None:
    """Bytes are sought, and found only where a record begins."""
    first, second = bytes(34), bytes(33) + b"\1"
    index = built({"s-1.h5": [first, second]})
    [part] = index.parts
    body = part.data[part._records :]
    for start in range(1, 42):
        across = body[start : start + SIZE]
        assert index.find(across) == served({"s-1.h5": [first, second]}).get(across)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The index of two shards."""
    a, b, c = (hashlib.sha256(bytes([n])).digest() + b"\0\0" for n in range(3))
    save_index(DiskFolder(tmp_path), built(named([[a, b], [c]])))
    return tmp_path / "index"


def test_no_index_is_an_empty_one(tmp_path: Path) -> None:
    """Nor is one that cannot be read, or a pipe, for whose writer nobody waits."""
    (tmp_path / "folder" / "index").mkdir(parents=True)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "index")
    for name in ("none", "folder", "pipe"):
        index = load_index(DiskFolder(tmp_path / name))
        assert (len(index), index.shards, index.find(bytes(34)), index.which([bytes(34)])) == (0, {}, None, [False])


def test_a_flipped_bit_anywhere_makes_it_not_count(index: Path) -> None:
    """Neither a wrong place nor another id is ever taken from a damaged index."""
    whole = index.read_bytes()
    assert len(load_index(DiskFolder(index.parent))) == 3
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        assert parse_part(bytes(damaged)) is None


def test_a_part_of_it_does_not_count(index: Path) -> None:
    """Cut short anywhere, or with something behind it."""
    whole = index.read_bytes()
    for damaged in (*(whole[:length] for length in range(len(whole))), whole + b"\0", signed(b"") + whole):
        assert parse_part(damaged) is None


def signed(body: bytes) -> bytes:
    """A file whose check sum fits."""
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def test_another_version_does_not_count(index: Path) -> None:
    """What an older or a newer featstore wrote is made again, even where this one could read it."""
    _, header, rest = index.read_bytes().split(b"\n", 2)
    content = json.loads(header)
    assert content["version"] == 3
    for version in (2, 4):
        assert parse_part(signed(json.dumps(content | {"version": version}).encode() + b"\n" + rest)) is None


NO_NUMBERS = (-1, 10**11, 10**400, 0.5, float("inf"), float("nan"), True, None, "1", [1])


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: str(value)[:12])
@pytest.mark.parametrize("field", ["bits", "distinct", "rows", "offset", "size"])
def test_numbers_that_cannot_be_do_not_count(index: Path, field: str, value: Any) -> None:
    """They are refused at once: 2 to the power of 10**11 would take hours, and a part of a row is not a row."""
    _, text, rest = index.read_bytes().split(b"\n", 2)
    header = json.loads(text)
    [first, *_] = header["shards"]
    if field in header:
        header[field] = value
    elif field == "size":
        first["state"][0] = value
    else:
        first[field] = value
    allowed = (field == "offset" and value is None) or (field == "size" and value == 10**11)
    assert (parse_part(signed(json.dumps(header).encode() + b"\n" + rest)) is not None) == allowed


@pytest.mark.parametrize("place, what", [(34, "shard"), (38, "row")])
def test_an_index_that_was_made_to_lie_is_refused(tmp_path: Path, place: int, what: str) -> None:
    """A record that leads out of the shards, under a check sum that fits: one line, and a fault."""
    folder = filled(tmp_path)
    whole = (folder / "index").read_bytes()
    at = len(whole) - 42 + place
    (folder / "index").write_bytes(signed(whole[65:at] + b"\x7f" + whole[at + 1 :]))
    with pytest.raises(StoreError, match="lists rows that its shards do not have: `featstore cache repair`"):
        open_key(tmp_path).read(ids(*range(6)))
    assert any("lists rows that its shards" in fault.reason for fault in verify_key(folder).faults)


def test_a_folder_that_cannot_be_written_is_a_store_error(index: Path) -> None:
    """The caller decides whether that matters."""
    with pytest.raises(StoreError, match="cannot be written"):
        save_index(DiskFolder(index / "below"), load_index(DiskFolder(index.parent)))


def test_features_that_reach_beyond_the_file_are_not_believed(index: Path) -> None:
    """They would be other bytes of the file, or nobody's."""
    _, header, rest = index.read_bytes().split(b"\n", 2)
    content = json.loads(header)
    content["shards"][0]["state"][0] = 2048 + 2 * 49 * content["shards"][0]["rows"] - 1
    assert parse_part(signed(json.dumps(content).encode() + b"\n" + rest)) is None
    content["shards"][0]["state"][0] += 1
    assert parse_part(signed(json.dumps(content).encode() + b"\n" + rest)) is not None


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts as a key of millions of rows has them, of a few rows."""
    monkeypatch.setattr(index_module, "_SMALL", 2)
    monkeypatch.setattr(index_module, "_GROWTH", 2)


def grown(lists: list[list[bytes]]) -> Index:
    """An index to which the shards came one by one."""
    index, entries = Index(), dict[str, ShardEntry]()
    for name, its in named(lists).items():
        entries[name] = entry(name, len(its))
        index = index.with_shards(entries, {name: b"".join(its)})
    return index


def spread(first: int, count: int) -> list[bytes]:
    return [hashlib.sha256(str(n).encode()).digest() + b"\0\0" for n in range(first, first + count)]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(digests | near, min_size=1, max_size=30, unique=True), max_size=8))
def test_an_index_in_parts_is_a_dict(tmp_path_factory: pytest.TempPathFactory, lists: list[list[bytes]]) -> None:
    """In memory and from the disk, also where ids are in several parts, and by all ways to look them up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "_SMALL", 2)
        patch.setattr(index_module, "_GROWTH", 1)
        index, folder = grown(lists), DiskFolder(tmp_path_factory.mktemp("index"))
        save_index(folder, index)
        agrees(index, named(lists))
        agrees(load_index(folder), named(lists))
        assert index.repeated() == built(named(lists)).repeated()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(digests | near, min_size=1, max_size=30, unique=True), max_size=8), st.data())
def test_shards_of_any_part_may_go_or_change(lists: list[list[bytes]], data: st.DataObject) -> None:
    """The parts before it stay, the others are made anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "_SMALL", 2)
        patch.setattr(index_module, "_GROWTH", 1)
        index, shards = grown(lists), named(lists)
        kept = data.draw(st.sets(st.sampled_from(sorted(shards)))) if shards else set()
        again = data.draw(st.sets(st.sampled_from(sorted(kept)))) if kept else set()
        entries = {name: entry(name, len(shards[name])) for name in kept}
        after = index.with_shards(entries, {name: b"".join(shards[name]) for name in again})
        agrees(after, {name: shards[name] for name in kept})


def test_few_new_rows_are_written_as_a_part_of_their_own(tmp_path: Path, small_parts: None) -> None:
    """What is there stays as it is, byte for byte, and is not written again."""
    folder = CountingFolder(tmp_path)
    lists = [spread(0, 100)]
    save_index(folder, grown(lists))
    whole = folder.read_index()
    index = load_index(folder)
    lists.append(spread(100, 10))
    name = list(named(lists))[1]
    larger = index.with_shards({**index.shards, name: entry(name, 10)}, {name: b"".join(lists[1])})
    folder.written.clear()
    save_index(folder, larger, index.parts)
    assert [written for written, _ in folder.written] == ["index-1"]
    assert folder.read_index() == whole
    agrees(load_index(folder), named(lists))


def test_a_row_is_written_a_few_times_however_many_follow(tmp_path: Path, small_parts: None) -> None:
    """4,000 rows, ten at a time. One table would be written 400 times: 800,000 records instead of 4,000."""
    folder, index, entries = CountingFolder(tmp_path), Index(), dict[str, ShardEntry]()
    lists = [spread(start, 10) for start in range(0, 4000, 10)]
    for number, its in enumerate(lists):
        name = f"s-{number:064x}.h5"
        entries[name] = entry(name, 10)
        larger = index.with_shards(entries, {name: b"".join(its)})
        save_index(folder, larger, index.parts)
        index = larger
        assert all(before.rows > 2 * after.rows for before, after in pairwise(index.parts))
    assert sum(records for _, records in folder.written) < 4000 * 12
    assert len(index.parts) <= 9
    assert sorted(os.listdir(tmp_path)) == sorted(part_name(n) for n in range(len(index.parts)))
    assert load_index(folder).shards == index.shards


def test_a_part_that_is_known_is_not_read_again(tmp_path: Path, small_parts: None) -> None:
    """What another process adds costs its own part."""
    folder, lists = CountingFolder(tmp_path), [spread(0, 100), spread(100, 10)]
    save_index(folder, grown(lists))
    index = load_index(folder)
    folder.read.clear()
    again = load_index(folder, index.parts[:1])
    assert folder.read == ["index-1", "index-2"]  # the last is not there
    assert again.parts[0] is index.parts[0]
    agrees(again, named(lists))


def test_parts_of_two_writers_do_not_mix(tmp_path: Path, small_parts: None) -> None:
    """Each part counts only behind the one it was written behind; what is left out is verified again."""
    lists = [spread(0, 100), spread(100, 10), spread(110, 60), spread(200, 20)]
    here, there = DiskFolder(tmp_path / "here"), DiskFolder(tmp_path / "there")
    save_index(here, grown(lists[:2]))
    save_index(there, grown(lists[:3]))
    assert [len(load_index(folder).parts) for folder in (here, there)] == [2, 1]
    (tmp_path / "here" / "index").write_bytes(bytes(there.read_index()))
    agrees(load_index(here), named(lists[:3]))
    (tmp_path / "there" / "index-1").write_bytes(bytes(here.read_index("index-1")))
    agrees(load_index(there), named(lists[:3]))


def test_a_damaged_part_ends_the_index_and_is_written_again(tmp_path: Path, small_parts: None) -> None:
    """Also where its first line is as before: what was not read from the folder is not taken to be there."""
    folder, lists = DiskFolder(tmp_path), [spread(0, 100), spread(100, 10)]
    save_index(folder, whole := grown(lists))
    path = tmp_path / "index-1"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = load_index(folder)
    agrees(found, named(lists[:1]))
    save_index(folder, whole, found.parts)
    agrees(load_index(folder), named(lists))


def test_a_part_that_lists_a_shard_twice_does_not_count(tmp_path: Path, small_parts: None) -> None:
    """Nobody writes one; its rows would count twice."""
    folder, lists = DiskFolder(tmp_path), [spread(0, 100), spread(100, 10)]
    save_index(folder, grown(lists))
    first, second = grown(lists).parts
    forged = make_part(first.shards, first.records(), 0, first.digest)
    (tmp_path / "index-1").write_bytes(bytes(forged.data))
    agrees(load_index(folder), named(lists[:1]))
    assert second.after == first.digest


def test_a_folder_without_rows_has_an_index_of_none(tmp_path: Path) -> None:
    """As it was before there were parts."""
    save_index(DiskFolder(tmp_path), Index())
    assert (os.listdir(tmp_path), len(load_index(DiskFolder(tmp_path)))) == (["index"], 0)


class CountingFolder(DiskFolder):
    """A folder that notes which parts of the index are read and written, and how many records."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read: list[str] = []
        self.written: list[tuple[str, int]] = []

    def read_index(self, name: str = "index", most: int | None = None) -> Bytes:
        if most is None:
            self.read.append(name)
        return super().read_index(name, most)

    def write(self, name: str, data: bytes) -> FileStat:
        part = parse_part(data)
        assert part is not None
        self.written.append((name, part.rows))
        return super().write(name, data)
