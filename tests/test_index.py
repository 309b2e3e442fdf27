"""The index: a derived file that is right or does not count."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featstore.errors import StoreError
from featstore.store.index import ShardEntry, load_index, save_index

numbers = st.integers(0, 2**63)
entries = st.builds(
    ShardEntry,
    name=st.text("0123456789abcdef", min_size=1, max_size=8).map(lambda digest: f"s-{digest}.h5"),
    state=st.tuples(numbers, numbers, numbers, numbers),
    ids=st.integers(1, 4).flatmap(lambda rows: st.binary(min_size=34 * rows, max_size=34 * rows)),
    dtype=st.sampled_from(["float16", "float32"]),
    shape=st.lists(st.integers(1, 9), max_size=3).map(tuple),
    offset=numbers,
)
ONE = ShardEntry("s-0.h5", (1, 2, 3, 4), b"i" * 68, "float16", (7, 7), 2048)
TWO = ShardEntry("s-1.h5", (5, 6, 7, 8), b"j" * 34, "float32", (7, 7), 4096)


def signed(body: bytes) -> bytes:
    """A file whose check sum fits."""
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The index of two shards."""
    save_index(tmp_path / "index", {TWO.name: TWO, ONE.name: ONE})
    return tmp_path / "index"


@settings(deadline=None, max_examples=50)
@given(st.lists(entries, max_size=4, unique_by=lambda entry: entry.name), st.randoms())
def test_what_is_saved_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, shards: list[ShardEntry], random: object
) -> None:
    """Every field of every entry, and the same bytes in whatever order the shards were found."""
    path = tmp_path_factory.mktemp("index") / "index"
    save_index(path, {entry.name: entry for entry in shards})
    first = path.read_bytes()
    assert load_index(path) == {entry.name: entry for entry in shards}
    random.shuffle(shards)  # type: ignore[attr-defined]
    save_index(path, {entry.name: entry for entry in shards})
    assert path.read_bytes() == first


def test_rows_are_counted_by_their_ids() -> None:
    """34 bytes each."""
    assert (ONE.rows, TWO.rows) == (2, 1)


def test_no_index_is_an_empty_one(tmp_path: Path) -> None:
    """Nor is one that cannot be read."""
    assert load_index(tmp_path / "none") == {}
    assert load_index(tmp_path) == {}


def test_a_flipped_bit_anywhere_makes_it_not_count(index: Path) -> None:
    """Neither a wrong place nor another id is ever taken from a damaged index."""
    whole = index.read_bytes()
    assert len(load_index(index)) == 2
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        index.write_bytes(damaged)
        assert load_index(index) == {}


def test_a_part_of_it_does_not_count(index: Path) -> None:
    """Cut short anywhere, or with something behind it."""
    whole = index.read_bytes()
    for damaged in (*(whole[:length] for length in range(len(whole))), whole + b"\0", signed(b"")[:-1] + whole):
        index.write_bytes(damaged)
        assert load_index(index) == {}


def test_another_version_does_not_count(index: Path) -> None:
    """What an older or a newer featstore wrote is made again, even where this one could read it."""
    _, header, ids = index.read_bytes().split(b"\n", 2)
    content = json.loads(header)
    assert content["version"] == 1
    for version in (0, 2):
        index.write_bytes(signed(json.dumps(content | {"version": version}).encode() + b"\n" + ids))
        assert load_index(index) == {}


def test_a_folder_that_cannot_be_written_is_a_store_error(index: Path) -> None:
    """Whoever saves decides whether that matters."""
    with pytest.raises(StoreError, match="cannot be written"):
        save_index(index / "below", {ONE.name: ONE})
