"""A real S3 server and a real client, with a proxy between them that loses, delays, repeats, cuts and forges answers.

There are 200 faults in CI, and 1,000 with `FEATSTORE_TEST_FAULTS=all`.
"""

from __future__ import annotations

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from featstore.errors import StoreError
from featstore.objects.obstore_bucket import ObstoreBucket, Patience
from featstore.objects.opening import use_buckets
from featstore.objects.urls import Url
from featstore.store import object_writes, sandbox
from featstore.store.verify import verify_key
from helpers.keyfolder import folder_of, ids, open_key, rows
from helpers.proxy import READS, WRITES, Asked, proxy
from helpers.s3_server import environment_of

FAULTS = 1000 if os.environ.get("FEATSTORE_TEST_FAULTS") == "all" else 200
SHARE = 0.5  # of the requests
EACH = 3  # rows in a shard
WRITERS = 4
HASTY = Patience(request=0.25, call=2, retries=2, pause=0.001)


class Chance:
    """Which requests have a fault, and how many of each kind had one."""

    def __init__(self) -> None:
        self.counts = {"put": 0, "list": 0, "get": 0, "delete": 0}
        self._draw = random.Random(1)
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> str | None:
        with self._lock:
            if self._draw.random() > SHARE:
                return None
            kind = "list" if "list-type" in asked.path else {"PUT": "put", "POST": "delete"}.get(asked.method, "get")
            self.counts[kind] += 1
            return self._draw.choice(WRITES if asked.writes else READS)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def test_no_row_is_lost_or_wrong(
    s3_address: str, s3: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four write and read at once, each again and again until it is told that its rows are stored."""
    monkeypatch.setattr(object_writes, "PAUSES", (0.01,) * 6)
    monkeypatch.setattr(sandbox._Inspector, "_start", lambda self: False)
    monkeypatch.setenv("FEATSTORE_LOCAL", str(tmp_path / "local"))
    cache, chance, stored, refused = s3 / "cache", Chance(), set[int](), list[str]()

    def store_and_read(number: int) -> None:
        turn = 0
        while chance.total < FAULTS or turn == 0:
            numbers = range((turn * WRITERS + number) * EACH, (turn * WRITERS + number + 1) * EACH)
            while not stored.issuperset(numbers):
                try:
                    store = open_key(cache)
                    with store.writing() as writer:
                        writer.append(ids(*numbers), rows(*numbers))
                    stored.update(numbers)
                    look(open_key(cache), {*numbers})
                except StoreError as error:
                    refused.append(str(error))
            turn += 1

    with proxy(s3_address, chance) as between, environment_of(between.address):
        before = use_buckets(lambda url: ObstoreBucket(url, HASTY))
        try:
            with ThreadPoolExecutor(WRITERS) as pool:
                list(pool.map(store_and_read, range(WRITERS)))
            between.settle()
        finally:
            use_buckets(before)
    assert chance.total >= FAULTS
    assert min(chance.counts[kind] for kind in ("put", "list", "get")) > FAULTS / 20
    assert all(len(line.splitlines()) == 1 and "; " in line for line in refused)
    monkeypatch.setenv("FEATSTORE_LOCAL", str(tmp_path / "fresh"))
    copy = download(s3, tmp_path / "copy")
    for place in (cache, copy / "cache"):
        look(open_key(place), stored)
        assert verify_key(folder_of(place)).faults == []
    with capsys.disabled():
        print(f" {chance.total} faults ({chance.counts}), {len(stored)} rows, {len(refused)} refusals", end=" ")


def look(store: object, expected: set[int]) -> None:
    """All of these are there, and right."""
    numbers = sorted(expected)
    assert all(store.which(ids(*numbers))), store.damaged
    assert np.array_equal(store.read(ids(*numbers)), rows(*numbers))


def download(bucket: Url, to: Path) -> Path:
    direct = ObstoreBucket(bucket)
    for found in direct.list_all(""):
        (to / found.path).parent.mkdir(parents=True, exist_ok=True)
        (to / found.path).write_bytes(direct.get(found.path)[0])
    return to
