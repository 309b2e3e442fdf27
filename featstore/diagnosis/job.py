"""The diagnosis of this machine."""

from __future__ import annotations

from pathlib import Path

from featstore.diagnosis.engines import find_engines
from featstore.diagnosis.gpus import find_gpus
from featstore.diagnosis.hardware import find_processor, look_at_memory
from featstore.diagnosis.network import look_at_network
from featstore.diagnosis.packages import find_packages
from featstore.diagnosis.places import find_weights, look_at_cache
from featstore.diagnosis.result import Diagnosis
from featstore.diagnosis.settings import find_settings


def diagnose(cache: Path, *, network: bool = False, deep: bool = False) -> Diagnosis:
    """Return what is installed and found. TensorFlow loads only if `deep`, and only `network` sends something."""
    topics = (
        find_packages(),
        find_processor(),
        look_at_memory(),
        find_gpus(),
        find_engines(deep),
        look_at_cache(cache),
        find_weights(),
        find_settings(),
        look_at_network(network),
    )
    return Diagnosis(topics=topics)
