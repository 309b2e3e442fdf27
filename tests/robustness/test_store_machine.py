"""A state machine: whatever is done to a store in whatever order, each process serves the rows that a dict would.

Two processes share a folder, with faults and crashes while they write, damage, compaction and repair. And the machine
finds bugs that are planted.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from featstore.errors import StoreError
from featstore.store import compaction, disk_folder, sandbox, shard
from featstore.store.compaction import compact_key
from featstore.store.repair import repair_key
from featstore.store.rowid import RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from featstore.store.verify import verify_key
from featstore.system.disk import use_disk
from helpers.disks import FAULTS, FaultyDisk, HastyDisk, Killed, live
from helpers.keyfolder import put, save

SPEC_JSON = "{}"
KEY = key_of({})
FOLDER = f"variant-{KEY[:12]}"
NUMBERS = range(1, 13)  # the id of 0 is all zeros, which are in any file


def ids(*numbers: int) -> list[RowId]:
    return [row_id(f"{n:064x}") for n in numbers]


def features(*numbers: int) -> np.ndarray:
    return np.array([[n, -n, 0.5] for n in numbers], np.float16).reshape(-1, 3)


class StoreMachine(RuleBasedStateMachine):
    """`stored` are the rows that were acknowledged and not damaged since, `perhaps` those of writes that failed.

    A process is `behind` when files that it knew were damaged: what it then reads are the right rows, or an error.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cache = Path(tempfile.mkdtemp())
        self.folder = self.cache / FOLDER
        self.stored: set[int] = set()
        self.perhaps: set[int] = set()
        self.stores = [self.open(), self.open()]
        self.known: list[set[int]] = [set(), set()]
        self.behind = [False, False]

        self.before = use_disk(HastyDisk())

    def teardown(self) -> None:
        use_disk(self.before)
        shutil.rmtree(self.cache)

    def open(self) -> RowStore:
        return RowStore(self.folder, KEY, SPEC_JSON, lambda: {"featstore-keras": "test"})

    which = st.integers(0, 1)
    numbers = st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4, unique=True)
    faults = st.sampled_from(FAULTS)
    nth = st.integers(1, 20)

    @rule(which=which, numbers=numbers)
    def append(self, which: int, numbers: list[int]) -> None:
        if new := [n for n in numbers if ids(n)[0] not in self.stores[which]]:
            put(self.stores[which], ids(*new), features(*new))
            self.stored |= {*new}
            self.known[which] |= {*new}

    @rule(which=which, numbers=numbers, fault=faults, nth=nth)
    def append_on_a_faulty_disk(self, which: int, numbers: list[int], fault: str, nth: int) -> None:
        if new := [n for n in numbers if ids(n)[0] not in self.stores[which]]:
            self.perhaps |= {*new}
            ended = live(FaultyDisk(nth, fault), lambda: self.append(which, new))
            if isinstance(ended, Killed):
                self.start_again(which, finish=False)

    @rule(which=which, finish=st.booleans())
    def start_again(self, which: int, finish: bool) -> None:
        if finish:
            save(self.stores[which])
        self.stores[which] = self.open()
        self.known[which] = {*self.stored}
        self.behind[which] = False

    @rule(which=which)
    def refresh(self, which: int) -> None:
        """What the other has stored is known then, and what it removed is not."""
        if self.stores[which].refresh():
            self.known[which] = {*self.stored}
            self.behind[which] = False

    @rule(how=st.sampled_from(["remove", "flip", "cut"]))
    def lose_the_index(self, how: str) -> None:
        if (index := self.folder / "index").exists():
            harm(index, how, 0)

    @rule(data=st.data(), how=st.sampled_from(["remove", "flip", "cut"]), place=st.integers(1, 6))
    def harm_a_shard(self, data: st.DataObject, how: str, place: int) -> None:
        """Flips are among the features: HDF5 may hang on others where a planted bug lets it see them."""
        if not (names := sorted(path.name for path in self.folder.glob("s-*.h5"))):
            return
        harm(self.folder / data.draw(st.sampled_from(names)), how, place)
        self.stored &= self.numbers_in_good_shards()
        self.known = [known & self.stored for known in self.known]
        self.behind = [True, True]

    @rule(which=which, data=st.data())
    def read(self, which: int, data: st.DataObject) -> None:
        there = [n for n in NUMBERS if ids(n)[0] in self.stores[which]]
        wanted = data.draw(st.lists(st.sampled_from(there), max_size=6)) if there else []
        try:
            assert np.array_equal(self.stores[which].read(ids(*wanted)).reshape(-1, 3), features(*wanted))
        except StoreError as error:
            assert self.behind[which] and "run the same command again" in str(error)
            self.start_again(which, finish=False)

    @rule(fault=st.none() | faults, nth=nth)
    def compact(self, fault: str | None, nth: int) -> None:
        """Nobody writes meanwhile; where a shard is damaged it asks for a repair first."""
        self.alone(compact_key, fault, nth, may_refuse="featstore cache repair")

    @rule(fault=st.none() | faults, nth=nth)
    def repair(self, fault: str | None, nth: int) -> None:
        """Afterwards, nothing is wrong with the folder, unless it has no shard to make `spec.json` from."""
        if self.alone(repair_key, fault, nth):
            faults = [fault.path.name for fault in verify_key(self.folder).faults]
            assert faults == [] or (faults == ["spec.json"] and not self.numbers_in_good_shards())

    @rule()
    def nobody_is_alone_beside_a_writer(self) -> None:
        with self.stores[0].writing():
            if self.folder.exists():
                for work in (compact_key, repair_key):
                    with pytest.raises(StoreError, match="in use by another process"):
                        work(self.folder)

    @invariant()
    def serves_what_it_knows(self) -> None:
        for store, known in zip(self.stores, self.known, strict=True):
            there = {n for n in NUMBERS if ids(n)[0] in store}
            assert known <= there
            assert len(store) == len(there)

    @invariant()
    def a_new_process_serves_what_is_stored(self) -> None:
        store = self.open()
        there = [n for n in NUMBERS if ids(n)[0] in store]
        assert self.stored <= {*there} <= self.stored | self.perhaps
        assert np.array_equal(store.read(ids(*there)).reshape(-1, 3), features(*there))

    def alone(self, work: Callable[[Path], object], fault: str | None, nth: int, may_refuse: str = "") -> bool:
        """Do `work` on the folder while no process writes, and look again; whether it has been done."""
        if not self.folder.exists():
            return False
        for store in self.stores:
            save(store)
        disk = FaultyDisk(nth if fault else 0, fault or "kill")
        ended = live(disk, lambda: work(self.folder))
        if isinstance(ended, StoreError) and not disk.met:
            assert may_refuse
            assert may_refuse in str(ended)
        return ended is None

    def numbers_in_good_shards(self) -> set[int]:
        good = [path.read_bytes() for path in self.folder.glob("s-*.h5") if is_good(path)]
        return {n for n in NUMBERS if any(ids(n)[0] in data for data in good)}


def is_good(path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() in path.name


def harm(path: Path, how: str, place: int) -> None:
    if how == "remove":
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    data[-place] ^= 1
    path.write_bytes(data if how == "flip" else data[: len(data) // 2])


QUICK = settings(deadline=None, max_examples=60, stateful_step_count=25, derandomize=True, database=None)
TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.__doc__ = "With all faults and crashes: what is stored is served, and nothing else."
TestStoreMachine.settings = QUICK


def finds_a_bug() -> None:
    """Fails unless the machine does."""
    try:
        run_state_machine_as_test(
            StoreMachine,
            settings=settings(QUICK, max_examples=300, phases=[Phase.generate], print_blob=False),
        )
    except (AssertionError, StoreError):
        return
    pytest.fail("the machine is blind")


def test_it_finds_rows_that_are_acknowledged_before_the_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shard gets its name with the next one: a process that ends in between loses it."""
    real, late = disk_folder.write_whole, []

    def too_early(path: Path, data: bytes) -> os.stat_result:
        while late:
            with suppress(OSError):
                os.replace(*late.pop())
        waiting = path.with_name(f".tmp-{path.name}")
        late.append((waiting, path))
        return real(waiting, data)

    monkeypatch.setattr(disk_folder, "write_whole", too_early)
    finds_a_bug()


def test_it_finds_that_digests_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged shard is served."""
    for module in (shard, sandbox):
        monkeypatch.setattr(module, "check_digest", lambda name, data: None)
    finds_a_bug()


def test_it_finds_sources_that_go_before_they_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compaction that fails then has lost rows."""
    real = compaction._write

    def reckless(store: RowStore, kind: Any, buffer: Any) -> list[str]:
        for name in buffer.sources:
            os.unlink(store.folder / name)
        return real(store, kind, buffer)

    monkeypatch.setattr(compaction, "_write", reckless)
    finds_a_bug()
