"""The index: a derived file that is right or does not count."""

from __future__ import annotations

import hashlib
import json
import os
import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featstore.errors import StoreError
from featstore.store import index as index_module
from featstore.store.index import Index, ShardEntry, empty_index, load_index, parse_index
from featstore.store.verify import verify_key
from featstore.system.files import write_whole
from featstore.system.large_pages import read_large
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
    return empty_index().with_shards(entries, {name: b"".join(ids) for name, ids in shards.items()})


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
        patch.setattr(index_module, "_FEW", -1)
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
    path, shards = tmp_path_factory.mktemp("index") / "index", named(lists)
    write_whole(path, built(shards).to_bytes())
    loaded, first = load_index(partial(read_large, path)), path.read_bytes()
    assert loaded.shards == {name: entry(name, len(ids)) for name, ids in shards.items()}
    agrees(loaded, shards)
    shuffled = list(shards.items())
    random.Random(0).shuffle(shuffled)
    write_whole(path, built(dict(shuffled)).to_bytes())
    assert path.read_bytes() == first


def test_shards_that_share_ids_are_known() -> None:
    """Two processes that made one row."""
    a, b, c = (bytes([n]) * SIZE for n in range(3))
    assert built({"s-1.h5": [a, b], "s-2.h5": [b], "s-3.h5": [c]}).repeated() == {"s-1.h5", "s-2.h5"}
    assert empty_index().repeated() == set()


def test_many_ids_are_found() -> None:
    """Spread as digests are, over many buckets; and views of one image side by side."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2000, 32), np.uint8)
    rows = [image.tobytes() + view.to_bytes(2, "big") for image in images for view in range(10)]
    shards = {"s-1.h5": rows[::2], "s-2.h5": rows[1::2]}
    index = built(shards)
    assert index._bits > 8
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
    body = index._body[index._records :]
    for start in range(1, 42):
        across = body[start : start + SIZE]
        assert index.find(across) == served({"s-1.h5": [first, second]}).get(across)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The index of two shards."""
    a, b, c = (hashlib.sha256(bytes([n])).digest() + b"\0\0" for n in range(3))
    write_whole(tmp_path / "index", built(named([[a, b], [c]])).to_bytes())
    return tmp_path / "index"


def test_no_index_is_an_empty_one(tmp_path: Path) -> None:
    """Nor is one that cannot be read, or a pipe, for whose writer nobody waits."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe"):
        index = load_index(partial(read_large, path))
        assert (len(index), index.shards, index.find(bytes(34))) == (0, {}, None)


def test_a_flipped_bit_anywhere_makes_it_not_count(index: Path) -> None:
    """Neither a wrong place nor another id is ever taken from a damaged index."""
    whole = index.read_bytes()
    assert len(load_index(partial(read_large, index))) == 3
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        assert parse_index(bytes(damaged)) is None


def test_a_part_of_it_does_not_count(index: Path) -> None:
    """Cut short anywhere, or with something behind it."""
    whole = index.read_bytes()
    for damaged in (*(whole[:length] for length in range(len(whole))), whole + b"\0", signed(b"") + whole):
        assert parse_index(damaged) is None


def signed(body: bytes) -> bytes:
    """A file whose check sum fits."""
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def test_another_version_does_not_count(index: Path) -> None:
    """What an older or a newer featstore wrote is made again, even where this one could read it."""
    _, header, rest = index.read_bytes().split(b"\n", 2)
    content = json.loads(header)
    assert content["version"] == 3
    for version in (2, 4):
        assert parse_index(signed(json.dumps(content | {"version": version}).encode() + b"\n" + rest)) is None


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
    assert (parse_index(signed(json.dumps(header).encode() + b"\n" + rest)) is not None) == allowed


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
        write_whole(index / "below", load_index(partial(read_large, index)).to_bytes())


def test_features_that_reach_beyond_the_file_are_not_believed(index: Path) -> None:
    """They would be other bytes of the file, or nobody's."""
    _, header, rest = index.read_bytes().split(b"\n", 2)
    content = json.loads(header)
    content["shards"][0]["state"][0] = 2048 + 2 * 49 * content["shards"][0]["rows"] - 1
    assert parse_index(signed(json.dumps(content).encode() + b"\n" + rest)) is None
    content["shards"][0]["state"][0] += 1
    assert parse_index(signed(json.dumps(content).encode() + b"\n" + rest)) is not None
