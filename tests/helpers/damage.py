"""Each kind of damage to a key's folder, what the checker says of it, and how many rows are lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from featstore.store.disk_folder import DiskFolder
from featstore.store.index import load_index, save_index
from featstore.store.shard import build_shard
from helpers.keyfolder import SPEC, ids, key_of, put_shard, rows, shard_files, text_of

OTHER = SPEC | {"layer": "other"}


def first(folder: Path) -> Path:
    return shard_files(folder)[0]


def flip_a_bit(folder: Path) -> None:
    data = bytearray(first(folder).read_bytes())
    data[len(data) // 2] ^= 1
    first(folder).write_bytes(data)


def cut_short(folder: Path) -> None:
    os.truncate(first(folder), first(folder).stat().st_size - 1)


def zero_fill(folder: Path) -> None:
    first(folder).write_bytes(bytes(first(folder).stat().st_size))


def rename(folder: Path) -> None:
    first(folder).rename(folder / f"s-{'0' * 64}.h5")


def take_away(folder: Path) -> None:
    first(folder).unlink()


def swap(folder: Path) -> None:
    one, two, _ = shard_files(folder)
    data = one.read_bytes()
    shutil.copy(two, one)
    two.write_bytes(data)


def foreign_key(folder: Path) -> None:
    put_shard(folder, [90], rows(90), OTHER)


def foreign_spec(folder: Path) -> None:
    name, data = build_shard(key_of(SPEC), text_of(OTHER), {}, ids(90), rows(90))
    (folder / name).write_bytes(data)


def another_shape(folder: Path) -> None:
    """More rows than the others have, in the first shard by name: neither makes them right."""
    for number in range(1000):
        path = put_shard(folder, [number + n for n in range(20)], np.zeros((20, 4), np.float16))
        if path == first(folder):
            return
        path.unlink()


def not_a_number(folder: Path) -> None:
    put_shard(folder, [90, 91, 92], np.array([[0, 1, 2], [np.nan, 0, 0], [0, 0, -np.inf]], np.float16))


def infinity_in_float32(folder: Path) -> None:
    put_shard(folder, [90], np.array([[0, np.inf, 0]], np.float32))


def id_twice(folder: Path) -> None:
    put_shard(folder, [90, 90], rows(90, 91))


def edit_spec(folder: Path) -> None:
    path = folder / "spec.json"
    path.write_text(path.read_text().replace('"avg"', '"max"'))


def foreign_spec_file(folder: Path) -> None:
    path = folder / "spec.json"
    path.write_text(path.read_text().replace(key_of(SPEC), key_of(OTHER)).replace('"last"', '"other"'))


def lose_spec(folder: Path) -> None:
    (folder / "spec.json").unlink()


def damage_spec(folder: Path) -> None:
    os.truncate(folder / "spec.json", 20)


def damage_index(folder: Path) -> None:
    data = bytearray((folder / "index").read_bytes())
    data[-1] ^= 1
    (folder / "index").write_bytes(data)


def lying_index(folder: Path) -> None:
    """Right by its check sum, it says of two shards that each holds the rows of the other."""
    index = load_index(DiskFolder(folder))
    one, two, _ = index.shards
    swapped = {one: index.ids_of(two), two: index.ids_of(one)}
    save_index(DiskFolder(folder), index.with_shards(index.shards, swapped))


def folder_for_shard(folder: Path) -> None:
    name = first(folder).name
    first(folder).unlink()
    (folder / name).mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], None], str, int]] = {  # what is done, what is said, rows that are lost by it
    "flipped bit": (flip_a_bit, "do not match the name", 2),
    "truncated": (cut_short, "do not match the name", 2),
    "zero-filled": (zero_fill, "do not match the name", 2),
    "renamed": (rename, "do not match the name", 2),
    "missing": (take_away, "is missing, and 2 of its rows are nowhere else", 2),
    "swapped": (swap, "do not match the name", 4),
    "a folder": (folder_for_shard, "cannot be read", 2),
    "foreign key": (foreign_key, "belongs to the key", 0),
    "foreign spec": (foreign_spec, "its spec hashes to", 0),
    "other shape": (another_shape, "rows of shape (4,), those of the key have shape (3,)", 0),
    "not a number": (not_a_number, "has NaN or infinity in 2 of its 3 rows", 0),
    "infinity": (infinity_in_float32, "has NaN or infinity in 1 of its 1 rows", 0),
    "id twice": (id_twice, "holds an id twice", 0),
    "spec edited": (edit_spec, "the spec hashes to", 0),
    "spec of another key": (foreign_spec_file, "which is not that of the folder", 0),
    "spec missing": (lose_spec, "is missing", 0),
    "spec cut": (damage_spec, "cannot be read", 0),
    "index damaged": (damage_index, "damaged: `featstore cache repair` makes it again", 0),
    "index lying": (lying_index, "does not match the contents", 0),
}
