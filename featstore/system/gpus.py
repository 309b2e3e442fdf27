"""The GPUs of this machine, found without TensorFlow: by what NVIDIA's driver says of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
_TOOL = ("nvidia-smi", "--query-gpu=uuid,memory.total,name", "--format=csv,noheader,nounits")
_TOOL_SECONDS = 20  # a driver that nobody has used yet takes a few to wake up
_DRIVER = Path("/proc/driver/nvidia/gpus")
_DEVICES = Path("/dev")


class Gpu(NamedTuple):
    """A GPU that programs may use.

    number: its place among those, from 0, as programs count them. id: the word by which CUDA_VISIBLE_DEVICES names it.
    bytes: its memory; None if that is not known.
    """

    number: int
    name: str
    id: str
    bytes: int | None = None


def list_gpus() -> tuple[Gpu, ...]:
    """Return the NVIDIA GPUs of this machine, without those that CUDA_VISIBLE_DEVICES hides.

    Whether TensorFlow can use them is another question: it also needs the libraries of CUDA.
    """
    gpus = _ask_tool() or _ask_driver()
    visible = os.environ.get(VISIBLE_VARIABLE)
    chosen = gpus if visible is None else _choose(gpus, visible)
    return tuple(gpu._replace(number=number) for number, gpu in enumerate(chosen))


def _choose(gpus: list[Gpu], visible: str) -> list[Gpu]:
    """Return the GPUs that a list of numbers and UUIDs names, up to the first that names none, as CUDA does."""
    chosen = []
    for word in (word.strip() for word in visible.split(",")):
        if word.isdecimal():  # CUDA may count otherwise than the driver, so the number itself is kept
            named = [gpu._replace(id=word) for gpu in gpus[int(word) : int(word) + 1]]
        elif word.startswith("MIG-") and gpus:  # a part of a GPU, which only its UUID names
            named = [Gpu(0, "part of a GPU", word)]
        else:
            named = [gpu for gpu in gpus if word and gpu.id.startswith(word)]
        if len(named) != 1:
            break
        chosen += named
    return chosen


def _ask_tool() -> list[Gpu]:
    """Return the GPUs that nvidia-smi lists; none if it is not there or does not answer."""
    try:
        done = subprocess.run(_TOOL, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return []
    gpus: list[Gpu] = []
    for line in done.stdout.splitlines():
        uuid, memory, name = (*(part.strip() for part in line.split(",", 2)), "", "")[:3]
        if uuid.startswith("GPU-"):
            gpus.append(Gpu(len(gpus), name, uuid, int(memory) * 2**20 if memory.isdecimal() else None))
    return gpus


def _ask_driver() -> list[Gpu]:
    """Return the GPUs in the files of the driver, in the order of their buses, as nvidia-smi numbers them.

    In a container they may be those of the whole machine; only those with a device file can be used.
    """
    gpus: list[Gpu] = []
    try:
        files = sorted(_DRIVER.glob("*/information"))
        for file in files:
            lines = (line.partition(":") for line in file.read_text(errors="replace").splitlines())
            told = {key.strip(): value.strip() for key, _, value in lines}
            if (_DEVICES / f"nvidia{told.get('Device Minor')}").exists() and told.get("GPU UUID"):
                gpus.append(Gpu(len(gpus), told.get("Model", "GPU"), told["GPU UUID"]))
    except OSError:
        return []
    return gpus
