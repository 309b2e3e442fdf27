"""What was learned about a network on this machine, and the networks that were converted: files below the cache.

All of them may be removed: they are made again. Each is written whole; one that is damaged does not count.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from featstore.bases.source import BaseSource
from featstore.engines.openvino_loader import load_openvino
from featstore.errors import StoreError
from featstore.spec import FeatureSpec
from featstore.system.environment import default_threads
from featstore.system.files import read_regular, remove, write_whole
from featstore.system.gpus import list_gpus
from featstore.system.machine import processor_name

FOLDER = "engines"  # of the cache
MOST_KEPT = {".network": 16, ".json": 256}  # files by ending; those that were used last stay
MOST_BYTES = 2**31  # of the files of one ending: a large network has 550 MB
_FORMAT = 1  # to be raised with every change of how a network is converted, tried or written
_PACKAGES = ("tensorflow", "keras", "openvino")
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)  # parsing what is not ours


@dataclass(frozen=True)
class Choice:
    """The engine that was found to be the fastest, and what is known about OpenVINO.

    batch, device: of OpenVINO; the batch is None if it cannot be used. reason: why. difference: from TensorFlow,
    relative. rates: images per second by engine.
    """

    engine: str
    batch: int | None
    device: str
    difference: float | None
    rates: dict[str, float]
    reason: str = ""


class Memory:
    """The files about one network: `specs` of `source`. `cache` is the folder of the cache; None to keep nothing."""

    def __init__(self, cache: Path | None, source: BaseSource, specs: Sequence[FeatureSpec]) -> None:
        self._folder = cache and cache / FOLDER
        versions = {package: _version(package) for package in _PACKAGES}
        spec, cuts = specs[0], [(spec.layer, spec.pool) for spec in specs]
        size = spec.reading.height, spec.reading.width
        network = [source.identity(), spec.weights, spec.preprocessing.describe(), size, cuts, versions]
        machine = [
            platform.machine(),
            processor_name() or platform.processor(),
            default_threads(),
            [gpu.name for gpu in list_gpus()],
        ]
        self.keeps = cache is not None
        self._model: Any = None
        self.network_name = _digest(network)
        self.choice_name = _digest([network, spec.precision, spec.reading.name, machine])

    def choice(self) -> Choice | None:
        """Return what was chosen on this machine; None if nothing was."""
        data = self._read(f"{self.choice_name}.json")
        try:
            return None if data is None else _parse(json.loads(data))
        except _DAMAGED:
            return None

    def remember(self, choice: Choice) -> None:
        """Keep `choice` for the next time on this machine."""
        self._write(f"{self.choice_name}.json", json.dumps({"format": _FORMAT, **asdict(choice)}, indent=1).encode())

    def model(self) -> Any:
        """Return the converted network; None if it is not kept or is damaged, and then it is removed."""
        if self._model is not None:
            return self._model
        data = self._read(f"{self.network_name}.network")
        if data is None:
            return None
        head, _, rest = data.partition(b"\n")
        try:
            told = json.loads(head)
            if told["format"] != _FORMAT or told["sha256"] != hashlib.sha256(rest).hexdigest():
                raise ValueError("another format, or damaged")
            graph = int(told["graph"])
            return load_openvino().Core().read_model(rest[:graph], rest[graph:])
        except (*_DAMAGED, RuntimeError, ImportError):
            assert self._folder is not None
            with suppress(StoreError):
                remove(self._folder / f"{self.network_name}.network")
            return None

    def keep(self, model: Any) -> None:
        """Keep a converted network, with all digits of its weights."""
        self._model = model
        if self._folder is None:
            return
        try:
            text, numbers = _serialize(model)
        except (OSError, RuntimeError):  # as of a full disk: it is converted again then
            return
        rest = text + numbers
        head = {"format": _FORMAT, "sha256": hashlib.sha256(rest).hexdigest(), "graph": len(text)}
        self._write(f"{self.network_name}.network", json.dumps(head).encode() + b"\n" + rest)

    def _read(self, name: str) -> bytes | None:
        if self._folder is None:
            return None
        path = self._folder / name
        try:
            data, _ = read_regular(path)
        except OSError:
            return None
        with suppress(OSError):
            os.utime(path)
        return data

    def _write(self, name: str, data: bytes) -> None:
        if self._folder is None:
            return
        with suppress(StoreError, OSError):  # a cache that cannot be written costs only time
            write_whole(self._folder / name, data)
            _remove_oldest(self._folder, Path(name).suffix)


def _remove_oldest(folder: Path, ending: str) -> None:
    """Remove the files of this ending that were not used for the longest time, down to `MOST_KEPT` and `MOST_BYTES`.

    The one that was used last stays, however large it is.
    """
    files = [(path.stat(), path) for path in folder.glob(f"*{ending}")]
    taken = 0
    for number, (found, path) in enumerate(sorted(files, key=lambda file: file[0].st_mtime, reverse=True)):
        taken += found.st_size
        if number >= MOST_KEPT[ending] or (number and taken > MOST_BYTES):
            remove(path)


def _serialize(model: Any) -> tuple[bytes, bytes]:
    """Return the graph and the weights of a model as OpenVINO writes them; raises OSError or RuntimeError."""
    with tempfile.TemporaryDirectory(prefix="featstore-") as folder:
        graph, weights = Path(folder) / "graph.xml", Path(folder) / "weights.bin"
        load_openvino().serialize(model, graph, weights)
        return graph.read_bytes(), weights.read_bytes()


def _parse(kept: dict[str, Any]) -> Choice | None:
    if kept["format"] != _FORMAT or kept["engine"] not in ("tensorflow", "openvino"):
        return None
    batch = None if kept["batch"] is None else int(kept["batch"])
    if (batch is None and kept["engine"] == "openvino") or (batch is not None and not 1 <= batch <= 1024):
        return None
    rates = {str(name): float(rate) for name, rate in kept["rates"].items()}
    difference = None if kept["difference"] is None else float(kept["difference"])
    return Choice(kept["engine"], batch, str(kept["device"]), difference, rates, str(kept["reason"]))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
