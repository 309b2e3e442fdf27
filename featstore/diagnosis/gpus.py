"""The GPUs that programs may use, and whether TensorFlow can be expected to."""

from __future__ import annotations

from importlib.metadata import distributions

from featstore.diagnosis.topic import Problem, Topic, gigabytes
from featstore.system.gpus import list_gpus
from featstore.system.text import listed

_LIBRARY = "nvidia-cudnn"  # of those that TensorFlow needs; what follows is the version of CUDA


def find_gpus() -> Topic:
    """Return the GPUs with their memory, by what the driver says of them."""
    gpus = list_gpus()
    names = [f"{gpu.name} ({gigabytes(gpu.bytes)})" if gpu.bytes else gpu.name for gpu in gpus]
    problems = []
    if gpus and not _has_libraries():
        problems.append(
            Problem(
                "there is a GPU, but pip has not installed CUDA's libraries for TensorFlow, which then computes on the "
                "processor unless the system has them: pip install 'tensorflow[and-cuda]', and see --deep"
            )
        )
    return Topic("GPUs", listed(names) or "none", {"gpus": [gpu._asdict() for gpu in gpus]}, problems)


def _has_libraries() -> bool:
    return any(str(found.name).lower().startswith(_LIBRARY) for found in distributions())
