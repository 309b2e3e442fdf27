"""Places of rows: found for many at once as for each, and read in as few goes as can be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featstore.store.index import Index
from featstore.store.index_part import ShardEntry
from featstore.store.places import Places
from featstore.store.rowid import RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from helpers.keyfolder import put, save

# Of few digests and views, so that many rows share the one or the other, and some begin alike but are not.
DIGESTS = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(4)]
DIGESTS += [DIGESTS[0][:16] + digest[16:] for digest in DIGESTS[1:]]
some_ids = st.builds(row_id, st.sampled_from(DIGESTS), st.sampled_from([0, 1, 255, 2**16 - 1]))


def entry(name: str, rows: int) -> ShardEntry:
    return ShardEntry(name, (1, 2, 3, 4), rows, "float16", (4,), 2048, True)


def packed(ids: list[RowId]) -> np.ndarray:
    return np.frombuffer(b"".join(ids), "V34")


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(some_ids, min_size=1, max_size=6, unique=True), max_size=4), st.lists(some_ids, max_size=20))
def test_many_ids_are_found_where_each_is(shards: list[list[RowId]], asked: list[RowId]) -> None:
    """The first shard in name order that has the id; -1 if none has it."""
    ids = {f"s-{number}.h5": b"".join(rows) for number, rows in enumerate(shards)}
    index = Index().with_shards({name: entry(name, len(rows) // 34) for name, rows in ids.items()}, ids)
    shard, row = index.find_all(packed(asked))
    names = [*index.shards, None]
    expected = [index.find(one) for one in asked]
    assert [(names[s], r) if s >= 0 else None for s, r in zip(shard, row, strict=True)] == expected


def test_an_id_that_is_not_there_is_named(tmp_path: Path) -> None:
    """KeyError names it; rows that were just stored are found."""
    store = RowStore(tmp_path, key_of({}), "{}", dict)
    ids = [row_id(digest) for digest in DIGESTS]
    put(store, ids[:2], np.zeros((2, 1), np.float16))
    save(store)
    put(store, ids[2:4], np.ones((2, 1), np.float16))
    places = store.locate(ids[3::-1])
    assert [places.names[number] for number in places.shard] == [store.shard_of(row) for row in ids[3::-1]]
    assert places.row.tolist() == [1, 0, 1, 0]
    with pytest.raises(KeyError) as caught:
        store.locate(ids[:5])
    assert caught.value.args == (ids[4],)


def test_what_lies_side_by_side_is_one_run() -> None:
    """The rows are neighbours in the file and in the request; runs are in the order of shards and of the file."""
    places = Places(["a", "b"], np.array([1, 0, 0, 0, 1, 1, 0]), np.array([8, 3, 4, 5, 2, 3, 0]))
    assert list(places.runs()) == [(0, [(6, 0, 1), (1, 3, 3)]), (1, [(4, 2, 2), (0, 8, 1)])]
    assert list(places.of(slice(0, 0)).runs()) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), max_size=30))
def test_runs_are_all_rows_once(rows: list[tuple[int, int]]) -> None:
    """Whatever was asked for, in any order and more than once."""
    shard, row = np.array(rows, np.intp).reshape(-1, 2).T
    seen = {}
    for number, runs in Places("abcd", shard, row).runs():
        for place, first, count in runs:
            seen.update({place + step: (number, first + step) for step in range(count)})
    assert [seen[place] for place in range(len(rows))] == rows
