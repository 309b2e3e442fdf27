"""Copies of shards on this machine."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from featstore.errors import UsageError
from featstore.objects.local import local_root
from featstore.store import object_room
from featstore.store.layout import shard_name
from featstore.store.object_copies import Copies, DamagedShard
from featstore.store.object_room import most_bytes

BYTES = 100_000


@pytest.fixture(autouse=True)
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEATSTORE_LOCAL", str(tmp_path))
    monkeypatch.setattr(object_room, "_fetched", {})
    return local_root() / "cache" / "tiny" / "key"


def shard(number: int) -> bytes:
    return bytes([number]) * BYTES


def name(number: int) -> str:
    return shard_name(shard(number))


class Source:
    """Where shards come from. damaged: how many of the next answers are."""

    def __init__(self) -> None:
        self.fetched: Counter[str] = Counter()
        self.damaged = 0

    def __call__(self, asked: str) -> bytes:
        self.fetched[asked] += 1
        self.damaged -= 1
        return b"torn" if self.damaged >= 0 else next(shard(n) for n in range(20) if name(n) == asked)


def read(copies: Copies, number: int) -> bytes:
    descriptor, _ = copies.open(name(number))
    with open(descriptor, "rb") as file:
        return file.read()


def test_each_shard_is_fetched_once_by_all_processes_of_a_machine(local: Path) -> None:
    source = Source()
    copies = Copies(local, source)
    copies.bring((name(n), BYTES) for n in range(5))
    assert [read(copies, n) for n in range(5)] == [shard(n) for n in range(5)]
    assert read(Copies(local, source), 1) == shard(1)  # as another process would
    assert set(source.fetched.values()) == {1}


def test_an_answer_that_was_torn_on_its_way_is_asked_for_again(local: Path) -> None:
    source = Source()
    source.damaged = 1
    assert read(Copies(local, source), 1) == shard(1)


def test_a_damaged_shard_gets_no_name_here(local: Path) -> None:
    source = Source()
    source.damaged = 2
    copies = Copies(local, source)
    with pytest.raises(DamagedShard, match=f"^{name(1)}: the bytes do not match the name"):
        copies.open(name(1))
    assert not local.exists() or not os.listdir(local)


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"x"), lambda p: p.unlink(), lambda p: _link(p)])
def test_a_copy_that_was_damaged_since_is_fetched_again(local: Path, damage: Callable[[Path], object]) -> None:
    source = Source()
    read(Copies(local, source), 1)
    damage(local / name(1))
    assert read(Copies(local, source), 1) == shard(1)
    assert source.fetched[name(1)] == 2


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def test_damage_shows_in_the_process_that_has_compared_the_copy(local: Path) -> None:
    source = Source()
    copies = Copies(local, source)
    read(copies, 1)
    (local / name(1)).write_bytes(shard(2))
    assert read(copies, 1) == shard(1)


def test_a_machine_that_can_keep_no_copy_is_told_so(local: Path) -> None:
    """It is no damage: the rows are not computed again."""
    local.parent.mkdir(parents=True)
    local.write_bytes(b"a file where a folder is needed")
    copies = Copies(local, Source())
    copies.keep(name(1), shard(1))
    copies.bring((name(n), BYTES) for n in range(3))
    with pytest.raises(UsageError, match=r"cannot be written: .* name a folder for copies of shards by \$FEATSTORE_LO"):
        copies.open(name(1))


def test_the_longest_unused_copies_make_room(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATSTORE_LOCAL_GB", str(BYTES * 4 / 1e9))
    copies = Copies(local, Source())
    held = copies.open(name(0))[0]
    os.utime(local / name(0), ns=(0, 0))
    for number in range(1, 6):
        read(copies, number)
        os.utime(local / name(number), ns=(number, number))
        if number > 1:
            read(copies, 1)  # the first one is used each time
    kept = set(os.listdir(local))
    assert sum(path.stat().st_size for path in local.iterdir()) <= 4 * BYTES
    assert {name(1), name(5)} <= kept
    assert not {name(0), name(2)} & kept
    with open(held, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() in name(0)  # removed, and open


def test_no_more_is_brought_than_stays_until_it_is_opened(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATSTORE_LOCAL_GB", str(BYTES * 8 / 1e9))
    source = Source()
    copies = Copies(local, source)
    copies.bring((name(n), BYTES) for n in range(20))
    assert len(os.listdir(local)) == 4
    assert [read(copies, n) for n in range(20)] == [shard(n) for n in range(20)]
    assert set(source.fetched.values()) == {1}


def test_the_bound_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert most_bytes() == 20e9
    for text in ("lots", "-1", "nan", "inf"):
        monkeypatch.setenv("FEATSTORE_LOCAL_GB", text)
        with pytest.raises(UsageError, match=f"FEATSTORE_LOCAL_GB={text}: expected a number of gigabytes"):
            most_bytes()
