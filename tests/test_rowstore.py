"""The rows of a key: a mapping that cannot lie and cannot lose."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featstore.errors import StoreError
from featstore.store.rowid import RowId, content_digest, row_id
from featstore.store.rowstore import RowStore

KEY = "ab" * 32


def ids(*numbers: int) -> list[RowId]:
    return [row_id(hashlib.sha256(str(n).encode()).hexdigest()) for n in numbers]


def rows(*numbers: int) -> np.ndarray:
    return np.array([[n, -n, 0.5] for n in numbers], np.float16).reshape(-1, 3)


def open_store(folder: Path, key: str = KEY) -> RowStore:
    return RowStore(folder / "key", key, "{}", lambda: {"featstore": "test"})


def test_a_row_id_holds_digest_and_view() -> None:
    """34 bytes, from which the digest comes back."""
    digest = hashlib.sha256(b"x").hexdigest()
    assert len(row_id(digest, 9)) == 34
    assert content_digest(row_id(digest, 9)) == digest
    assert row_id(digest, 9) != row_id(digest)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.lists(st.integers(0, 30), min_size=1, max_size=6, unique=True), st.booleans())), st.data())
def test_a_store_is_a_mapping(tmp_path_factory: pytest.TempPathFactory, batches: list, data: st.DataObject) -> None:
    """After any appends and re-openings, read in any order, with the index kept or lost: what a dict would say."""
    folder = tmp_path_factory.mktemp("store")
    store, model = open_store(folder), {}
    for numbers, reopen in batches:
        new = [n for n in numbers if ids(n)[0] not in store]
        if new:
            store.append(ids(*new), rows(*new))
            model |= {n: n for n in new}
        if reopen:
            store.save_index()
            if data.draw(st.booleans()):
                (folder / "key" / "index").unlink(missing_ok=True)
            store = open_store(folder)
    assert len(store) == len(model)
    wanted = data.draw(st.permutations(sorted(model)))
    assert np.array_equal(store.read(ids(*wanted)), rows(*wanted)) or not wanted
    assert all(row not in store for row in ids(*range(31, 40)))


def test_a_missing_row_is_a_key_error(tmp_path: Path) -> None:
    """Nothing is invented in its place."""
    store = open_store(tmp_path)
    store.append(ids(1), rows(1))
    with pytest.raises(KeyError):
        store.read(ids(1, 2))


def test_a_damaged_shard_is_not_served(tmp_path: Path) -> None:
    """Its rows are missing, the reason is listed, and the other shards are served."""
    store = open_store(tmp_path)
    store.append(ids(1), rows(1))
    store.append(ids(2), rows(2))
    store.save_index()
    victim = next(p for p in (tmp_path / "key").glob("s-*.h5") if ids(1)[0] in p.read_bytes())
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    again = open_store(tmp_path)
    assert ids(1)[0] not in again
    assert np.array_equal(again.read(ids(2)), rows(2))
    assert "damaged" in again.damaged[0]
    again.append(ids(1), rows(1))
    assert np.array_equal(open_store(tmp_path).read(ids(1)), rows(1))


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:40] + b"x" + d[41:], lambda d: b"", lambda d: b"\n\n"]
)
def test_a_damaged_index_loses_nothing(tmp_path: Path, damage: object) -> None:
    """It is made again from the shards."""
    store = open_store(tmp_path)
    store.append(ids(1, 2), rows(1, 2))
    store.save_index()
    index = tmp_path / "key" / "index"
    index.write_bytes(damage(index.read_bytes()))  # type: ignore[operator]
    assert np.array_equal(open_store(tmp_path).read(ids(2, 1)), rows(2, 1))


def test_two_writers_make_the_union(tmp_path: Path) -> None:
    """Each appends without knowing of the other; the one index that is saved last does not hide the other's rows."""
    one, two = open_store(tmp_path), open_store(tmp_path)
    one.append(ids(1, 2), rows(1, 2))
    two.append(ids(2, 3), rows(2, 3))
    one.save_index()
    two.save_index()
    assert np.array_equal(open_store(tmp_path).read(ids(1, 2, 3)), rows(1, 2, 3))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    """And so are rows of another shape, and ids that do not fit them."""
    store = open_store(tmp_path)
    store.append(ids(1), rows(1))
    with pytest.raises(ValueError, match="infinity"):
        store.append(ids(2), np.array([[bad, 0, 0]], np.float32))
    with pytest.raises(ValueError, match="shape"):
        store.append(ids(2), np.zeros((1, 4), np.float32))
    with pytest.raises(ValueError, match="ids"):
        store.append(ids(2, 2), rows(2, 2))


def test_float32_rows_widen_what_is_read_with_them(tmp_path: Path) -> None:
    """A row that float16 cannot hold is read as float32 beside others."""
    store = open_store(tmp_path)
    store.append(ids(1), rows(1))
    store.append(ids(2), np.array([[1e6, 0, 0]], np.float32))
    assert store.read(ids(1)).dtype == np.float16
    assert store.read(ids(2, 1)).tolist() == [[1e6, 0, 0], [1, -1, 0.5]]


def test_a_folder_of_another_key_is_refused(tmp_path: Path) -> None:
    """Folders are named by 12 digits of the key; the spec inside has all of it."""
    open_store(tmp_path).append(ids(1), rows(1))
    with pytest.raises(StoreError, match="belongs to the key"):
        open_store(tmp_path, "cd" * 32)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """With the advice to upgrade."""
    open_store(tmp_path).append(ids(1), rows(1))
    spec = tmp_path / "key" / "spec.json"
    spec.write_text(spec.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(StoreError, match="upgrade"):
        open_store(tmp_path)


def test_asking_for_ids_loads_neither_numpy_nor_h5py(tmp_path: Path) -> None:
    """A run with nothing to do looks only at the index."""
    store = open_store(tmp_path)
    store.append(ids(1), rows(1))
    store.save_index()
    code = f"""
import sys
from pathlib import Path
from featstore.store.rowstore import RowStore
assert len(RowStore(Path({str(tmp_path / "key")!r}), {KEY!r}, "{{}}", dict)) == 1
assert not {{"numpy", "h5py"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
