"""The store of sketches: it returns the right sketch or none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from featstore.copies import sketch_store
from featstore.copies.sketch import Sketch, make_sketch
from featstore.copies.sketch_store import SketchStore
from helpers.encoded import encoded
from helpers.photos import draw


def sketch(number: int) -> Sketch:
    return make_sketch(encoded(draw("discs", number), "PNG"))


def same(one: Sketch, other: Sketch) -> bool:
    return np.array_equal(one.grey, other.grey) and one[1:] == other[1:]


def the_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_sketches_outlive_the_process(tmp_path: Path) -> None:
    """What was added is read by the next store, and nothing that was not asked for."""
    SketchStore(tmp_path / "s").add({"a": sketch(1), "b": sketch(2)})
    SketchStore(tmp_path / "s").add({"c": sketch(3)})
    found = SketchStore(tmp_path / "s").read(["a", "c", "d"])
    assert found.keys() == {"a", "c"}
    assert same(found["a"], sketch(1)) and same(found["c"], sketch(3))


@pytest.mark.parametrize("place", [3, -3])
def test_a_damaged_file_counts_for_nothing_and_goes(tmp_path: Path, place: int) -> None:
    """One changed byte, in the facts or in the pixels: no sketch of the file is believed, and it is made again."""
    SketchStore(tmp_path).add({"a": sketch(1), "b": sketch(2)})
    file = the_file(tmp_path)
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    assert SketchStore(tmp_path).read(["a", "b"]) == {}
    SketchStore(tmp_path).add({"a": sketch(1)})
    assert SketchStore(tmp_path).read(["a"]).keys() == {"a"}


def test_a_truncated_file_counts_for_nothing(tmp_path: Path) -> None:
    SketchStore(tmp_path).add({"a": sketch(1)})
    file = the_file(tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    assert SketchStore(tmp_path).read(["a"]) == {}


def test_another_format_is_neither_read_nor_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later release shares the cache."""
    with monkeypatch.context() as later:
        later.setattr(sketch_store, "_FORMAT", 99)
        SketchStore(tmp_path).add({"a": sketch(1)})
    assert SketchStore(tmp_path).read(["a"]) == {}
    assert the_file(tmp_path).exists()


@pytest.mark.parametrize("head", [b"", b"[]", b"{", b'{"format": 1}', b"[" * 100_000])
def test_a_file_that_is_no_file_of_sketches_does_no_harm(tmp_path: Path, head: bytes) -> None:
    (tmp_path / f"{'0' * 64}.sketches").write_bytes(head + b"\nrest")
    assert SketchStore(tmp_path).read(["a"]) == {}


def test_facts_of_another_shape_do_not_count(tmp_path: Path) -> None:
    """A check sum is not a signature: content that fits it may still be nonsense."""
    head = json.dumps({"format": 1, "images": [["a", "", {"colour": "red"}]]}).encode()
    data = head + b"\n" + bytes(96 * 96)
    import hashlib

    (tmp_path / f"{hashlib.sha256(data).hexdigest()}.sketches").write_bytes(data)
    assert SketchStore(tmp_path).read(["a"]) == {}


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file where the folder should be")
    store = SketchStore(tmp_path / "s")
    store.add({"a": sketch(1)})
    assert store.read(["a"]) == {}
