"""How much of the machine this process may use: cores and memory, where a container or a scheduler allows less.

Linux says it in /proc and in the files of control groups, of version 1 or 2. A group has the limits of those above it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")


class Cores(NamedTuple):
    """The cores of the machine.

    Attributes:
        present: Number in the machine.
        usable: Number that this process may run on.
        time: Seconds of all cores together that its control group gets in a second; None where there is no limit.
    """

    present: int
    usable: int
    time: float | None


class Memory(NamedTuple):
    """The memory of the machine, in bytes.

    Attributes:
        total: All of it, or what the control group of this process may use if that is less.
        available: What this process can use before others have to give some back.
        limit: What the control group may use; None where there is no limit.
    """

    total: int
    available: int
    limit: int | None


def processor_name() -> str | None:
    """Return the name of the processor; None where Linux does not say it, as on ARM."""
    for line in _text(_PROC / "cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return None


def find_cores() -> Cores:
    """Return the cores that there are and that this process may use."""
    present = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else present
    return Cores(present, usable, min(_shares(), default=None))


def find_memory() -> Memory | None:
    """Return the memory that there is and that this process may use; None where the system does not say."""
    values = _fields(_PROC / "meminfo")
    if "MemTotal" not in values:
        return None
    total, available = values["MemTotal"] * 1024, values.get("MemAvailable", values.get("MemFree", 0)) * 1024
    limit = None
    for most, used in _allowances():
        if most < total:
            total, limit = most, most
        available = min(available, max(most - used, 0))
    return Memory(total, available, limit)


def peak_memory() -> int | None:
    """Return the largest number of bytes of memory that this process has had at once; None where it is not known."""
    peak = _fields(_PROC / "self" / "status").get("VmHWM")
    return None if peak is None else peak * 1024


def _shares() -> Iterator[float]:
    """Yield the limits of time, in cores."""
    for folder in _folders(""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            yield int(quota) / int(period)
    for folder in _folders("cpu"):
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():  # without a limit it is -1
            yield int(quota) / int(period)


def _allowances() -> Iterator[tuple[int, int]]:
    """Yield the limits of memory, and what is used of each without the files that are cached and can be dropped."""
    for controller, limit, usage, cached in (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for folder in _folders(controller):
            most, used = _text(folder / limit), _text(folder / usage)
            if most.isdigit() and used.isdigit():
                yield int(most), max(int(used) - _fields(folder / "memory.stat").get(cached, 0), 0)


def _folders(controller: str) -> Iterator[Path]:
    """Yield the folder of the control group of this process and those above it; "" stands for version 2.

    In a container the files of its group often are at the root, whatever the path says.
    """
    root = _GROUPS / controller
    for line in _text(_PROC / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller in names.split(","):
            inner = root / path.strip("/")
            yield from [inner, *inner.parents][: len(inner.parts) - len(root.parts) + 1]
            return


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers of a file of lines such as `MemTotal: 24684084 kB`, without their units."""
    found = {}
    for line in _text(path).splitlines():
        words = line.replace(":", " ").split()
        if len(words) > 1 and words[1].isdigit():
            found[words[0]] = int(words[1])
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
