"""A short run of the kill loop; the long one is started by hand, and its figures are in the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from featstore.store.rowid import row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from helpers.keyfolder import put, save
from helpers.paths import ROOT


def test_a_few_kills_lose_nothing() -> None:
    """Real processes, killed at random instants: no row is lost, none is wrong, and what is left can be completed."""
    options = ["--kills", "4", "--images", "60", "--tiny", "0", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, "benchmarks/kill_loop.py", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONSAFEPATH": ""},  # it imports the module beside it
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^kills +[4-6] ", done.stdout, re.MULTILINE)
    assert re.search(r"^rows +[1-9]\d* written, 0 lost, 0 wrong$", done.stdout, re.MULTILINE)
    assert re.search(r"^reader +[1-9]\d* rows in [1-9]\d* looks, 0 lost, 0 wrong;", done.stdout, re.MULTILINE)


def test_the_loop_sees_what_is_lost_and_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that is taken away, and a row that is not the right one, are counted: the checker is not broken."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from kill_loop import Loop

    ids = [row_id(f"{number:064x}") for number in range(4)]
    rows = np.arange(8, dtype=np.float16).reshape(4, 2)
    store = RowStore(tmp_path / "pixels" / "key", key_of({}), "{}", dict)
    put(store, ids[:2], rows[:2])
    put(store, ids[2:], rows[2:])
    save(store)
    loop = Loop.__new__(Loop)
    loop.cache, loop.counts, loop.seen = tmp_path, Counter(), {"pixels": set()}
    loop.truth = {"pixels": dict(zip(ids, rows, strict=True))}
    loop.check()
    assert loop.counts == {"written": 4, "lost": 0, "wrong": 0}
    loop.truth["pixels"][ids[0]] = rows[1]
    loop.check()
    assert loop.counts == {"written": 4, "lost": 0, "wrong": 1}
    (tmp_path / "pixels" / "key" / store.shard_of(ids[3])).unlink()
    loop.check()
    assert loop.counts == {"written": 4, "lost": 2, "wrong": 2}
