"""How many workers fit on the nodes of a cluster, and how many cores each gets.

Ray starts no more actors than fit, and waits for the others without a word: so no more are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from featstore.errors import UsageError, param
from featstore.system.text import count

LEAST_CPUS = 0.5  # of a worker: more than two on a core only get in each other's way


class Node(NamedTuple):
    """A machine of the cluster: its id, its name for people, and what Ray may use there."""

    id: str
    name: str
    cpus: float
    gpus: float


class Crew(NamedTuple):
    """How many workers there are to be, with how many cores and GPUs each."""

    workers: int
    cpus: float
    gpus: float

    def __str__(self) -> str:
        """Say it in words: `2 workers, each with 4 cores and 1 GPU`."""
        has = f"{self.cpus:g} core{'' if self.cpus == 1 else 's'}"
        has += f" and {self.gpus:g} GPU{'' if self.gpus == 1 else 's'}" if self.gpus else ""
        return f"{count(self.workers, 'worker')}{', each' if self.workers > 1 else ''} with {has}"

    @property
    def threads(self) -> int:
        """The number of cores that a worker keeps busy."""
        return max(1, int(self.cpus))


def plan_crew(nodes: Sequence[Node], workers: int | None, gpus: float | None, at_most: bool = False) -> Crew:
    """Return the workers for `nodes`, with as many cores each as can be; raises UsageError if they do not fit.

    workers: as many as were asked for; None for as many as there are GPUs, or else nodes. gpus: of each; None for one
    where there are any. at_most: whether fewer will do, where fewer fit, as once a node has gone.
    """
    if gpus is None:
        gpus = 1.0 if any(node.gpus >= 1 for node in nodes) else 0.0
    usable = [node for node in nodes if node.cpus >= LEAST_CPUS and node.gpus >= gpus]
    most = _places(usable, LEAST_CPUS, gpus)
    wanted = workers or (min(most, _gpu_places(usable, gpus)) if gpus else len(usable)) or 1
    if most and at_most:
        wanted = min(wanted, most)
    if wanted > most:
        each = f"{LEAST_CPUS:g} cores" + (f" and {gpus:g} GPUs" if gpus else "") + " each at the least"
        cores, cards = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
        raise UsageError(
            f"{param('workers', wanted)}: {most} fit, with {each}; found {count(len(nodes), 'node')} with {cores:g} "
            f"cores and {cards:g} GPUs: ask for fewer"
        )
    # Of all shares of a node that Ray can express, the largest that leaves a place for each.
    shares = {_as_ray_counts(node.cpus / parts) for node in usable for parts in range(1, wanted + 1)}
    cpus = max((share for share in shares if _places(usable, share, gpus) >= wanted), default=LEAST_CPUS)
    return Crew(wanted, max(cpus, LEAST_CPUS), gpus)


def _places(nodes: Iterable[Node], cpus: float, gpus: float) -> int:
    """Return how many workers fit that take so much."""
    return sum(min(int(node.cpus / cpus + 1e-9), _gpu_places([node], gpus)) for node in nodes if cpus)


def _gpu_places(nodes: Iterable[Node], gpus: float) -> int:
    """Return how many workers the GPUs of `nodes` are enough for; a share of a GPU is of one card."""
    if not gpus:
        return 2**31
    if gpus >= 1:
        return sum(int(node.gpus // gpus) for node in nodes)
    return sum(int(node.gpus) * int(1 / gpus + 1e-9) for node in nodes)


def _as_ray_counts(cpus: float) -> float:
    """Return the number rounded down to what Ray takes: whole above 1, else ten-thousandths."""
    return float(int(cpus)) if cpus > 1 else int(cpus * 1e4 + 1e-9) / 1e4
