"""The processor and the memory, and how much of them this process may use."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from featstore.diagnosis.topic import Problem, Topic, gigabytes
from featstore.system.machine import find_cores, find_memory, processor_name
from featstore.system.processor import has_bfloat16, processor_features
from featstore.system.text import count

_SHOWN = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "bf16", "sve")
_ENOUGH_MEMORY = 1.5e9  # bytes: an extraction of 10,000 images with a small base took 0.93 GB


def find_processor() -> Topic:
    """Return the processor, its cores, the instructions that matter, and the precisions that it computes well."""
    cores, features = find_cores(), processor_features()
    instructions = [name for name in _SHOWN if name in features]
    precisions = ["float32", *(["bfloat16"] if has_bfloat16() else [])]
    usable = f"{cores.usable} of {count(cores.present, 'core')}"
    limited = f", time of {cores.time:.3g}" if cores.time is not None else ""
    name = processor_name() or platform.machine()
    can = " ".join(instructions) or "instructions unknown"
    text = f"{name}, {usable}{limited}; {can}; computes {' and '.join(precisions)}"
    facts = {
        "name": name,
        "cores": cores.present,
        "usable_cores": cores.usable,
        "core_limit": cores.time,
        "instructions": instructions,
        "precisions": precisions,
    }
    return Topic("processor", text, facts, _problems_of(cores.usable, cores.time, features))


def _problems_of(usable: int, time: float | None, features: frozenset[str]) -> Sequence[Problem]:
    problems = []
    if features and platform.machine() == "x86_64" and "avx" not in features:
        problems.append(
            Problem("TensorFlow needs AVX, which this processor does not have: use another machine", fails=True)
        )
    if time is not None and time < usable - 0.5:
        few = max(round(time), 1)
        problems.append(
            Problem(
                f"the control group gets the time of {time:.3g} cores, but threads start for {usable} and are held up: "
                f"start with `taskset -c 0-{few - 1}`, or give the container --cpuset-cpus 0-{few - 1}"
            )
        )
    return problems


def look_at_memory() -> Topic:
    """Return the memory that this process may use."""
    memory = find_memory()
    if memory is None:
        return Topic("memory", "unknown", {"total": None, "available": None, "limit": None})
    limited = ", which its control group allows" if memory.limit is not None else ""
    text = f"{gigabytes(memory.available)} available of {gigabytes(memory.total)}{limited}"
    problems = []
    if memory.available < _ENOUGH_MEMORY:
        problems.append(
            Problem(
                f"{gigabytes(memory.available)} of memory are available, and a small base takes about 1 GB: "
                "end other programs, or give the container more"
            )
        )
    return Topic("memory", text, memory._asdict(), problems)
