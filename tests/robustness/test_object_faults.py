"""Faults at every request to object storage: the n-th goes wrong for n = 1, 2, ... until a run meets no fault.

What `append` said is stored has to be there for a process that begins without a local copy, and so it has to be in the
bucket when that is copied to a disk. No row may be wrong, and no error may be other than a StoreError.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from featstore.errors import StoreError
from featstore.objects.bucket import AlreadyThere, Bucket, Uncertain
from featstore.objects.opening import use_buckets
from featstore.objects.urls import Url
from featstore.store import object_claims, object_folder, object_locks, object_signs, object_writes, sandbox
from featstore.store.compaction import compact_key
from featstore.store.layout import shard_name
from featstore.store.repair import repair_key
from featstore.store.rowid import RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.sandbox import inspect_shard
from featstore.store.spec_file import key_of
from featstore.store.verify import verify_key
from featstore.system.disk import use_disk
from featstore.system.files import FileStat
from helpers import buckets
from helpers.buckets import MemoryBucket
from helpers.disks import HastyDisk, Killed
from helpers.faulty_buckets import FAULTS, FaultyBucket, Network, Turns, live

SPEC_JSON = '{"dtype":"float16"}'
KEY = key_of({"dtype": "float16"})
FOLDER = f"cache/model/variant-{KEY[:12]}"
ALL = range(6)
Work = Callable[["World", Url], None]
_numbers = itertools.count()


def ids(*numbers: int) -> list[RowId]:
    return [row_id(f"{n:064x}") for n in numbers]


def features(*numbers: int) -> np.ndarray:
    return np.array([[n, -n, 0.5] for n in numbers], np.float16)


class World:
    """A bucket, and what lies between it and the processes that use it. Each process sees it under a URL of its own.

    acknowledged: the rows for which `append` has returned. now: the last one, of which all URLs are.
    """

    now: World

    def __init__(self, clock: Clock) -> None:
        World.now = self
        clock.now = 1e9
        self.server = MemoryBucket()
        self.server.clock = clock.time
        self.network = Network(self.server)
        self.processes: dict[str, FaultyBucket] = {}
        self.acknowledged: set[int] = set()

    def process(self, nth: int = 0, fault: str = "", turn: Callable[[], None] = lambda: None) -> Url:
        """Return the folder of the key as a new process sees it, with a fault at its n-th request."""
        name = f"process-{next(_numbers)}"  # the folder of its local copies is named by it
        self.processes[name] = FaultyBucket(self.network, nth, fault, turn)
        return Url("s3", name, FOLDER)

    def asked(self, folder: Url) -> FaultyBucket:
        return self.processes[folder.bucket]

    def check(self, whole: bool = False) -> None:
        """A new process finds what was acknowledged, or all rows, and none that is wrong."""
        store = open_store(self.process())
        there = [n for n in ALL if ids(n)[0] in store]
        assert self.acknowledged <= {*there}, f"lost: {self.acknowledged - {*there}}; {store.damaged}"
        assert len(store) == len(there)
        assert not whole or there == [*ALL]
        if there:
            assert np.array_equal(store.read(ids(*there)), features(*there))

    def copy(self, to: Path) -> Path:
        """Bring the bucket to a folder."""
        for path, (data, _) in self.server.objects.items():
            (to / path).parent.mkdir(parents=True, exist_ok=True)
            (to / path).write_bytes(data)
        return to / FOLDER


def open_store(folder: Url | Path) -> RowStore:
    return RowStore(folder, KEY, SPEC_JSON, lambda: {"featstore-keras": "test"})


def append(world: World, folder: Url, *shards: tuple[int, ...]) -> None:
    store = open_store(folder)
    with store.writing() as writer:
        for numbers in shards:
            if not all(store.which(ids(*numbers))):
                for row in ids(*numbers):
                    writer.claims.claim(row)
                writer.append(ids(*numbers), features(*numbers))
            world.acknowledged |= {*numbers}


def first(world: World, folder: Url) -> None:
    append(world, folder, (0, 1, 2), (3, 4))


def second(world: World, folder: Url) -> None:
    """Some of its rows are those of the first one, in a shard that is equal, and in one that is not."""
    append(world, folder, (3, 4), (2, 5))


def read(world: World, folder: Url) -> None:
    """What was acknowledged before can be read, and nothing else is served."""
    before = {*world.acknowledged}
    store = open_store(folder)
    store.refresh()
    there = [n for n in ALL if ids(n)[0] in store]
    if there:
        assert np.array_equal(store.read(ids(*there)), features(*there))
    said = any("cannot be read" in line for line in store.damaged)  # the server was down
    assert said or before <= {*there}, f"a reader does not see {before - {*there}}: {store.damaged}"


def compact(world: World, folder: Url) -> None:
    compact_key(folder)


def repair(world: World, folder: Url) -> None:
    repair_key(folder)


WORKS: dict[str, Work] = {"first": first, "second": second, "read": read, "compact": compact, "repair": repair}
STEP = 1 if os.environ.get("FEATSTORE_TEST_FAULTS") == "all" else 61
COPIED = 1.0 if STEP == 1 else 0.3  # of the buckets, to a disk
MAY_REFUSE = ("compact", "repair")  # where another process is at work, or died a moment ago


class Clock(SimpleNamespace):
    """Time that passes only while a process waits."""

    def __init__(self) -> None:
        super().__init__(now=1e9)

    def time(self) -> float:
        return float(self.now)

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 1e9 + 1e5, "it waits for ever"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Clock]:
    """A clock of the test. Nothing runs beside it, and local copies need no syncs."""
    clock = Clock()
    monkeypatch.setattr(object_writes, "time", clock)
    monkeypatch.setattr(object_locks, "sleep", clock.sleep)
    for module in (object_claims, object_folder, object_signs):
        monkeypatch.setattr(module, "monotonic", clock.monotonic)
    for module in (object_claims, object_locks):
        monkeypatch.setattr(module, "call_every", lambda *unused: lambda: None)
    monkeypatch.setattr(sandbox._Inspector, "_start", lambda self: False)
    monkeypatch.setattr(buckets, "PAGE", 3)
    monkeypatch.setenv("FEATSTORE_LOCAL", str(tmp_path / "local"))
    disk_before, opener_before = use_disk(HastyDisk()), use_buckets(lambda url: World.now.processes[url.bucket])
    yield clock
    use_disk(disk_before)
    use_buckets(opener_before)


def faults(fault: str, attempt: Callable[[int], bool]) -> None:
    """Attempt with a fault at the 1st, 2nd, ... request until it meets none; in CI with one in `STEP` of them."""
    for nth in itertools.count(1 + random.Random(fault).randrange(min(STEP, 30)), STEP):
        if not attempt(nth):
            return


def do(world: World, name: str, folder: Url) -> StoreError | Killed | None:
    return live(world.asked(folder), lambda: WORKS[name](world, folder))


def check_error(error: StoreError | Killed | None) -> None:
    if isinstance(error, StoreError):
        assert len(str(error).splitlines()) == 1
        assert re.search("; |: damaged$|: run the same", str(error)), f"no remedy: {error}"


def finish(world: World, clock: Clock, copy: Path) -> None:
    """All is right whatever happened, and the same commands complete what was left."""
    world.network.settle()
    world.check()
    clock.now += 3600  # no sign of life of the dead is left
    for name in WORKS:
        assert do(world, name, world.process()) is None
    world.check(whole=True)
    for folder in (world.process(), *([world.copy(copy)] if random.random() < COPIED else [])):
        findings = verify_key(folder)
        assert (findings.faults, findings.rows) == ([], len(ALL))
        assert np.array_equal(open_store(folder).read(ids(*ALL)), features(*ALL))


def one_after_the_other(victim: str, nth: int, fault: str, clock: Clock, copy: Path) -> bool:
    """Do all works, of which one has a fault; return whether it came to that."""
    world, met = World(clock), False
    for name in WORKS:
        folder = world.process(*((nth, fault) if name == victim else ()))
        ended = do(world, name, folder)
        check_error(ended)
        if name == victim:
            met = world.asked(folder).met
            assert met or ended is None
            clock.now += 100 * (nth % 2)
        else:
            assert ended is None or name in MAY_REFUSE, f"{name}: {ended}"
    finish(world, clock, copy)
    return met


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("victim", WORKS)
def test_a_fault_at_every_request(victim: str, fault: str, clock: Clock, tmp_path: Path) -> None:
    """Five processes come one after the other, and one of them has a fault: no row is lost, and none is wrong."""
    faults(victim + fault, lambda nth: one_after_the_other(victim, nth, fault, clock, tmp_path / f"copy-{nth}"))


def believe_that_it_exists(bucket: Bucket, url: Url, data: bytes) -> FileStat:
    try:
        bucket.put_new(url.path, data)
    except AlreadyThere:
        pass
    return state_of(data)


def take_silence_for_success(bucket: Bucket, url: Url, data: bytes) -> FileStat:
    try:
        bucket.put(url.path, data)
    except Uncertain:
        pass
    return state_of(data)


def state_of(data: bytes) -> FileStat:
    return FileStat(len(data), 0, 0, 0)


@pytest.mark.parametrize(
    "write, fault, begin_at",  # before that it does no harm
    [(believe_that_it_exists, "conflict", 2), (take_silence_for_success, "refused", 14)],
    ids=["exists", "silence"],
)
def test_the_model_is_not_blind(
    write: Callable[[Bucket, Url, bytes], FileStat],
    fault: str,
    begin_at: int,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Where an answer in doubt is believed, rows are lost."""
    monkeypatch.setattr(object_folder, "write_named", write)
    with pytest.raises(AssertionError, match="lost: |does not see"):
        for nth in range(begin_at, 40):
            one_after_the_other("first", nth, fault, clock, tmp_path / f"copy-{nth}")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_every_request_of_a_repair(fault: str, clock: Clock, tmp_path: Path) -> None:
    """A shard is damaged and the spec too: good rows stay, and bad bytes are not lost."""

    def attempt(nth: int) -> bool:
        world = World(clock)
        assert do(world, "first", world.process()) is None
        assert do(world, "second", world.process()) is None
        damaged = next(
            path for path in world.server.objects if path.endswith(open_store(world.process()).shard_of(ids(5)[0]))
        )
        bad = world.server.objects[damaged][0][:-1] + b"x"
        world.server.store(damaged, bad)
        world.server.store(f"{FOLDER}/spec.json", b"{")
        world.acknowledged.discard(5)
        clock.now += 100
        folder = world.process(nth, fault)
        check_error(do(world, "repair", folder))
        assert any(data == bad for data, _ in world.server.objects.values())
        world.network.settle()
        clock.now += 100
        assert do(world, "repair", world.process()) is None
        finish(world, clock, tmp_path / f"copy-{nth}")
        return world.asked(folder).met

    faults(fault, attempt)


@pytest.mark.parametrize("between", ["second", "compact", "repair"])
@pytest.mark.parametrize("stopped", WORKS)
def test_another_process_between_two_requests(stopped: str, between: str, clock: Clock, tmp_path: Path) -> None:
    """A process is stopped before its n-th request, for long or not, while another one does all of its work."""

    def attempt(nth: int) -> bool:
        world = World(clock)
        met = []

        def interrupt() -> None:
            counted = next(count)
            if counted == nth:
                met.append(True)
                clock.now += 100 * (nth % 2)
                check_error(do(world, between, world.process()))

        count = itertools.count(1)
        for name in WORKS:
            check_error(do(world, name, world.process(turn=interrupt) if name == stopped else world.process()))
        finish(world, clock, tmp_path / f"copy-{nth}")
        return bool(met)

    faults("an interruption", attempt)


def begin(world: World, folder: Url, environment: str) -> None:
    """Store a row as a process does whose libraries compute values of their own, which its canary shows."""
    store = RowStore(folder, KEY, SPEC_JSON, lambda: {"featstore-keras": environment})
    canary = {"version": 1, "features": {environment: None}}

    def make_canary() -> dict[str, object]:
        known = store.key_file
        if known is not None and known.canary != canary:
            raise StoreError("other values; leave the key alone")
        return canary

    with store.writing() as writer:
        writer.append(ids(ord(environment)), features(1), make_canary)


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_two_environments_never_share_a_key(fault: str, clock: Clock) -> None:
    """Two processes begin a key at once: the rows of one of them are stored, whatever became of the answers."""

    def attempt(nth: int) -> bool:
        world, count = World(clock), itertools.count(1)

        def interrupt() -> None:
            if next(count) == nth:
                other = world.process()
                check_error(live(world.asked(other), lambda: begin(world, other, "b")))

        folder = world.process(nth, fault, interrupt)
        check_error(live(world.asked(folder), lambda: begin(world, folder, "a")))
        world.network.settle()
        clock.now += 3600
        for environment in "ab":
            again = world.process()
            check_error(live(world.asked(again), lambda again=again, e=environment: begin(world, again, e)))
        shards = [data for path, (data, _) in world.server.objects.items() if path.endswith(".h5")]
        spec = json.loads(world.server.objects[f"{FOLDER}/spec.json"][0])
        made_by = [json.loads(inspect_shard(shard_name(data), data, KEY).versions) for data in shards]
        assert made_by
        assert all(versions == spec["versions"] for versions in made_by)
        return next(count) > nth

    faults(fault, attempt)


SEEDS = 200 if STEP == 1 else 6


@pytest.mark.parametrize("seed", range(SEEDS))
def test_processes_at_once(seed: int, clock: Clock, tmp_path: Path) -> None:
    """All of them at once, in an order and with faults that the seed determines."""
    world, draw, turns = World(clock), random.Random(seed), Turns(seed)
    works = []
    for name in WORKS:
        fault = draw.choice(["", *FAULTS])
        folder = world.process(draw.randrange(1, 15), fault, turns.wait)
        works.append(lambda name=name, folder=folder: check_error(do(world, name, folder)))
    turns.run(works)
    finish(world, clock, tmp_path / "copy")
