"""The cores of this machine, divided between processes."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")


def cores_here() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may use, neighbours next to each other.

    Those of one socket come together, and in it the two threads of one core. Linux often numbers them otherwise.
    """
    if not hasattr(os, "sched_getaffinity"):
        return tuple(range(os.cpu_count() or 1))
    return tuple(sorted(os.sched_getaffinity(0), key=_place))


def share_cores(processes: int) -> list[tuple[int, ...]]:
    """Return the cores of each of so many processes, in equal parts; of fewer cores than processes, some are shared."""
    cores = cores_here()
    ends = [len(cores) * number // processes for number in range(processes + 1)]
    return [cores[start : max(end, start + 1)] for start, end in pairwise(ends)]


def stay_on(cores: tuple[int, ...]) -> None:
    """Let this process run on `cores` only. Threads that it has already are not moved. macOS has no such call."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _place(core: int) -> tuple[int, int, int]:
    """Return the socket and the physical core of a core, and its own number."""
    folder = _TOPOLOGY / f"cpu{core}" / "topology"
    try:
        return int((folder / "physical_package_id").read_text()), int((folder / "core_id").read_text()), core
    except (OSError, ValueError):
        return 0, core, core
