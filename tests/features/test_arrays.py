"""Features of a data set as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import featstore
from featstore.datasets.manifest import Manifest, Picture
from featstore.errors import StoreError
from featstore.extraction.cache import Cache
from featstore.features.arrays import gather, open_rows
from featstore.images.preprocessing import NAMED
from featstore.images.reading import Reading
from featstore.spec import FeatureSpec
from featstore.store.rowid import row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from featstore.system.files import FileStat
from helpers.keyfolder import put


def picture(number: int, label: str | None = None, path: str | None = None) -> Picture:
    return Picture(path or f"{number}.png", FileStat(1, 1, 1, 1), label, known_digest=f"{number:064x}")


def filled(folder: Path, rows: np.ndarray) -> RowStore:
    """Return a store with a row for each of the pictures 0, 1, ..."""
    store = RowStore(folder, key_of({}), "{}", dict)
    put(store, [row_id(f"{n:064x}") for n in range(len(rows))], rows)
    return store


def test_rows_labels_and_ids_are_in_the_order_of_the_pictures(tmp_path: Path) -> None:
    """Pictures may be in any order; '' stands for no label."""
    store = filled(tmp_path, np.arange(8, dtype=np.float16).reshape(4, 2))
    X, y, ids = gather([picture(3, "dog"), picture(0), picture(2, "cat")], store)
    assert (X.dtype, X.tolist()) == (np.float32, [[6, 7], [0, 1], [4, 5]])
    assert y.tolist() == ["dog", "", "cat"]
    assert ids.tolist() == [f"{n:064x}" for n in (3, 0, 2)]


def test_one_image_under_two_labels_has_one_row_and_both_labels(tmp_path: Path) -> None:
    """The store knows contents, the manifest knows labels."""
    store = filled(tmp_path, np.ones((1, 2), np.float16))
    X, y, ids = gather([picture(0, "cat", "a/x.png"), picture(0, "dog", "b/x.png")], store)
    assert X.tolist() == [[1, 1], [1, 1]]
    assert y.tolist() == ["cat", "dog"]
    assert ids[0] == ids[1]


def test_maps_keep_their_shape(tmp_path: Path) -> None:
    """They are (n, h, w, channels), in float32 without loss."""
    maps = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype(np.float32) * 1e-9
    X = gather([picture(1), picture(0)], filled(tmp_path, maps)).X
    assert np.array_equal(X, maps[::-1])


def test_float32_rows_are_handed_on_without_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy would need twice the memory of the largest data sets."""
    store = filled(tmp_path, np.ones((1, 2), np.float32))
    rows = store.read([row_id(f"{0:064x}")])
    monkeypatch.setattr(store, "read", lambda ids: rows)
    assert np.shares_memory(gather([picture(0)], store).X, rows)


def test_no_pictures_give_no_rows(tmp_path: Path) -> None:
    """The empty array has the right shape."""
    X, y, ids = gather([], filled(tmp_path, np.ones((1, 2), np.float16)))
    assert (X.shape, y.shape, ids.shape) == ((0, 2), (0,), (0,))


def test_a_picture_without_features_is_an_error(tmp_path: Path) -> None:
    """There is never a row in its place. The message has the number, an example, and the remedy."""
    store = filled(tmp_path, np.ones((1, 2), np.float16))
    unread = picture(0)._replace(known_digest=None, path="unread.png")
    with pytest.raises(StoreError, match=r"^2 of 3 images have no features yet \(5.png\): extract them first$"):
        gather([picture(0), picture(5), unread], store)


@pytest.mark.parametrize("digest", ["", "00", "0" * 62, "0" * 66, "x" * 64])
def test_a_row_has_a_whole_digest(digest: str) -> None:
    """An incomplete id would only look like one that is not stored."""
    with pytest.raises(ValueError):
        row_id(digest)


def test_open_rows_are_the_same_rows_but_not_in_memory_yet(tmp_path: Path) -> None:
    """They have their stored dtype, and the same labels and ids."""
    store = filled(tmp_path, np.arange(8, dtype=np.float16).reshape(4, 2))
    pictures = [picture(3, "dog"), picture(0), picture(2, "cat")]
    loaded, opened = gather(pictures, store), open_rows(pictures, store)
    assert not isinstance(opened.X, np.ndarray)
    assert (opened.X.dtype, opened.X.shape) == (np.float16, (3, 2))
    for one, other in zip(loaded, opened, strict=True):
        assert np.array_equal(one, np.asarray(other))


def test_open_rows_need_features_too(tmp_path: Path) -> None:
    """The error comes when they are opened, not in the middle of a training. No pictures give no rows."""
    store = filled(tmp_path, np.ones((1, 2), np.float16))
    with pytest.raises(StoreError, match=r"^1 of 2 images have no features yet \(5.png\): extract them first$"):
        open_rows([picture(0), picture(5)], store)
    X, y, ids = open_rows([], store)
    assert (X.shape, np.asarray(X).shape, y.shape, ids.shape) == ((0, 2), (0, 2), (0,), (0,))


def test_the_front_door_opens_one_split_in_the_cache(tmp_path: Path) -> None:
    """`open_features` has the parameters of `load_features`."""
    spec = FeatureSpec("tiny", "ab" * 32, Reading(32, 32), NAMED["tf"])
    filling = [row_id(f"{n:064x}") for n in range(4)]
    put(Cache(tmp_path).store(spec), filling, np.arange(8, dtype=np.float16).reshape(4, 2))
    pictures = tuple(picture(n, "x")._replace(split="test" if n % 2 else "train") for n in range(4))
    manifest = Manifest("here", pictures)
    features = featstore.open_features(manifest, spec, split="test", cache=tmp_path)
    assert features.X[:].tolist() == [[2, 3], [6, 7]]
    assert len(featstore.open_features(manifest, spec, cache=tmp_path).X) == 4
