"""The devices that a user names for an extraction: GPUs by number, and `cpu`. Each gets a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from featstore.errors import UsageError, param
from featstore.system.cores import cores_here
from featstore.system.gpus import Gpu, list_gpus
from featstore.system.text import count

DevicesLike = str | int | Sequence[str | int] | None
ALL, CPU = "all", "cpu"


class Device(NamedTuple):
    """What one process computes on: a GPU, or cores alone."""

    gpu: Gpu | None = None

    def __str__(self) -> str:
        return CPU if self.gpu is None else f"GPU {self.gpu.number}"


def parse_devices(devices: DevicesLike) -> tuple[Device, ...]:
    """Return the devices that were named; none if nothing was, which leaves the choice to TensorFlow.

    A GPU may be named twice, for two processes: one alone may not read images as fast as it computes. Raises UsageError
    for a GPU that is not there, and for more `cpu` than there are cores.
    """
    if devices is None:
        return ()
    given = [devices] if isinstance(devices, str | int) else devices
    words = [word.strip().casefold() for item in given for word in str(item).split(",")]
    shown = param("devices", ",".join(words))
    if words == [ALL]:
        found = tuple(Device(gpu) for gpu in list_gpus())
        if not found:
            raise UsageError(f"{shown}: no GPU was found here; give {CPU}, or leave it out")
        return found
    wrong = next((word for word in words if word != CPU and not (word.isascii() and word.isdecimal())), None)
    if wrong is not None or not words:
        raise UsageError(
            f"{shown}: expected {ALL}, or a list of numbers of GPUs and {CPU}, as in 0,1 or {CPU},{CPU}; "
            f"found {'nothing' if not words else repr(wrong)}"
        )
    gpus = list_gpus() if any(word != CPU for word in words) else ()
    absent = next((word for word in words if word != CPU and int(word) >= len(gpus)), None)
    if absent is not None:
        found_here = ", ".join(f"{gpu.number} ({gpu.name})" for gpu in gpus) or "none"
        raise UsageError(f"{shown}: there is no GPU {absent} here; found: {found_here}")
    if words.count(CPU) > len(cores_here()):
        raise UsageError(f"{shown}: {words.count(CPU)} processes need as many cores; found {len(cores_here())}")
    return tuple(Device(None if word == CPU else gpus[int(word)]) for word in words)


def describe_devices(devices: Sequence[Device], cores: Sequence[Sequence[int]]) -> str:
    """Return one line: `2 processes: GPU 0 (NVIDIA H100), cpu (8 cores)`."""
    named = (
        f"{device} ({device.gpu.name if device.gpu else count(len(mine), 'core')})"
        for device, mine in zip(devices, cores, strict=True)
    )
    return f"{len(devices)} process{'' if len(devices) == 1 else 'es'}: {', '.join(named)}"
