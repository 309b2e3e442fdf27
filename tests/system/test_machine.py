"""Cores and memory, read from what Linux says of the machine and of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from featstore.system import machine
from featstore.system.machine import find_cores, find_memory, peak_memory, processor_name

MEMINFO = "MemTotal:       24684084 kB\nMemFree:        16275536 kB\nMemAvailable:   20626244 kB\n"
KB = 1024


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without control groups."""
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "groups")
    write(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n"})
    return tmp_path


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_without_a_limit_all_of_it_may_be_used(root: Path) -> None:
    write(root, {"groups/cpu.max": "max 100000\n", "groups/memory.max": "max\n", "groups/memory.current": "5\n"})
    cores, memory = find_cores(), find_memory()
    assert (cores.usable, cores.time) == (len(os.sched_getaffinity(0)), None)
    assert memory == (24684084 * KB, 20626244 * KB, None)


@pytest.mark.parametrize(
    ("group", "files"),
    [
        (
            "0::/pod/container\n",
            {
                "groups/pod/container/cpu.max": "max 100000",
                "groups/pod/cpu.max": "150000 100000",
                "groups/pod/memory.max": "4000000",
                "groups/pod/memory.current": "3000000",
                "groups/pod/memory.stat": "anon 1000000\ninactive_file 1500000\n",
            },
        ),
        (
            "0::/another/name/space\n",  # in a container the files of its group are at the root
            {
                "groups/cpu.max": "150000 100000",
                "groups/memory.max": "4000000",
                "groups/memory.current": "3000000",
                "groups/memory.stat": "inactive_file 1500000\n",
            },
        ),
        (
            "4:memory:/docker/1\n3:cpu,cpuacct:/\n1:name=systemd:/\n",
            {
                "groups/cpu/cpu.cfs_quota_us": "75000",
                "groups/cpu/cpu.cfs_period_us": "50000",
                "groups/memory/memory.limit_in_bytes": "9223372036854771712",
                "groups/memory/memory.usage_in_bytes": "3000000",
                "groups/memory/docker/1/memory.limit_in_bytes": "4000000",
                "groups/memory/docker/1/memory.usage_in_bytes": "3000000",
                "groups/memory/docker/1/memory.stat": "cache 1\ntotal_inactive_file 1500000\n",
            },
        ),
    ],
)
def test_the_limits_of_a_control_group_and_of_those_above_it_hold(
    root: Path, group: str, files: dict[str, str]
) -> None:
    """In versions 2 and 1; cached files do not count as used, since they can be dropped."""
    write(root, {"proc/self/cgroup": group, **files})
    assert find_cores().time == 1.5
    assert find_memory() == (4_000_000, 2_500_000, 4_000_000)


def test_what_the_system_does_not_say_is_not_known(root: Path) -> None:
    """On macOS, or where /proc is hidden."""
    for file in ("proc/meminfo", "proc/self/cgroup"):
        (root / file).unlink()
    assert find_memory() is None
    assert find_cores().time is None
    assert peak_memory() is None
    assert processor_name() is None


def test_a_processor_has_a_name_and_a_process_a_peak(root: Path) -> None:
    write(root, {"proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC\n", "proc/self/status": "VmHWM:\t  2048 kB\n"})
    assert processor_name() == "AMD EPYC"
    assert peak_memory() == 2048 * KB
