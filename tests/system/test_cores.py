"""The cores of a machine, and how processes divide them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from featstore.system import cores
from featstore.system.cores import cores_here, share_cores


@pytest.fixture
def two_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sockets with two cores of two threads each, numbered as Linux does: all first threads come first."""
    for number in range(8):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{number // 2 % 2}\n")
        (folder / "core_id").write_text(f"{number % 2}\n")
    monkeypatch.setattr(cores, "_TOPOLOGY", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


@pytest.mark.usefixtures("two_sockets")
def test_a_process_gets_neighbours() -> None:
    """Two processes get a socket each, and four a physical core each, with both of its threads."""
    assert [set(mine) for mine in share_cores(2)] == [{0, 1, 4, 5}, {2, 3, 6, 7}]
    assert [set(mine) for mine in share_cores(4)] == [{0, 4}, {1, 5}, {2, 6}, {3, 7}]
    assert [len(mine) for mine in share_cores(3)] == [2, 3, 3]


@pytest.mark.usefixtures("two_sockets")
def test_each_process_has_a_core() -> None:
    """More processes than cores, such as for many GPUs, share them; none has none."""
    shares = share_cores(20)
    assert all(len(mine) == 1 for mine in shares)
    assert {core for mine in shares for core in mine} == set(range(8))


def test_a_machine_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without files about sockets the numbers count; without the call itself, all cores do."""
    monkeypatch.setattr(cores, "_TOPOLOGY", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5, 3}, raising=False)
    assert cores_here() == (3, 5)
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores_here() == tuple(range(os.cpu_count() or 1))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="macOS keeps no process on a core")
def test_a_process_stays_on_its_cores() -> None:
    """It uses no others, and neither do its threads."""
    first = min(os.sched_getaffinity(0))
    code = f"import os; from featstore.system.cores import *; stay_on(({first},)); print(*os.sched_getaffinity(0))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == [str(first)]
