"""The private copy of a user's network, changed so that Keras 3 loads it and computes it in float32.

A network that was saved under mixed precision would compute in 16 bits: other features than their key says, by up to a
percent, and other ones for each place in a batch. Its weights are float32, so computed in float32 it is the same
network, only without the rounding. Such rows have a key of their own, since earlier versions stored the rounded ones
under the digest of the file.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featstore.bases.file_kinds import ARCHIVE_ENDING
from featstore.bases.hdf5 import open_hdf5
from featstore.bases.keras_file import read_config, serialized_objects

_HALF = {"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"}
_NETWORKS = ("Functional", "Model", "Sequential")
_POLICIES = ("DTypePolicy", "Policy")  # the second is Keras 2's


def identify(path: Path, digest: str) -> str:
    """Return the digest for a spec of the network in `path`, whose bytes have the SHA-256 `digest` (hex)."""
    is_half = any(True for _ in _places_of_half(read_config(path)))
    return hashlib.sha256(f"computed in float32:{digest}".encode()).hexdigest() if is_half else digest


def make_loadable(path: Path) -> None:
    """Change the configuration in the private copy at `path`, if it needs that; raises BaseUnavailable."""
    config = read_config(path)
    before = json.dumps(config)
    for holder, name in _places_of_half(config):
        holder[name] = "float32"
    if path.suffix != ARCHIVE_ENDING:
        for item in serialized_objects(config):
            _follow_keras_3(item["class_name"], item.get("config"))
    after = json.dumps(config)
    if after != before:
        (_write_archive if path.suffix == ARCHIVE_ENDING else _write_hdf5)(path, after)


def _places_of_half(config: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each dictionary of `config` that asks for half precision, with the name of the entry that does."""
    waiting: list[Any] = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            policy = node.get("config") if node.get("class_name") in _POLICIES else None
            if isinstance(policy, dict) and policy.get("name") in _HALF:
                yield policy, "name"
            if isinstance(node.get("dtype"), str) and node["dtype"] in _HALF:
                yield node, "dtype"
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _follow_keras_3(kind: str, settings: Any) -> None:
    """Write one object of Keras 2 as Keras 3 expects it; what is unexpected stays, and Keras says what it is.

    Keras 3 refuses the `groups` of a DepthwiseConv2D, which have no effect. It counts the calls of a network within a
    network from 0, and Keras 2 from 1, since that network has an output of its own.
    """
    if not isinstance(settings, dict):
        return
    if kind == "DepthwiseConv2D":
        settings.pop("groups", None)
    layers = settings.get("layers")
    if kind not in _NETWORKS or not isinstance(layers, list):
        return
    inner = {layer.get("name") for layer in layers if isinstance(layer, dict) and layer.get("class_name") in _NETWORKS}
    calls = [call for call in _calls([layers, settings.get("output_layers")]) if call[0] in inner]
    first = {name: min(call[1] for call in calls if call[0] == name) for name in {call[0] for call in calls}}
    for call in calls:
        call[1] -= first[call[0]]


def _calls(node: Any) -> Iterator[list[Any]]:
    """Yield the references to calls of layers, [name, number, ...], in the lists of one network."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting.append(node.get("inbound_nodes"))
        elif isinstance(node, list) and len(node) >= 3 and isinstance(node[0], str) and type(node[1]) is int:
            yield node
        elif isinstance(node, list):
            waiting += node


def _write_archive(path: Path, config: str) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"config.json": config.encode()}).items():
            archive.writestr(name, content)


def _write_hdf5(path: Path, config: str) -> None:
    with open_hdf5(path, mode="r+") as file:
        del file.attrs["model_config"]
        file.attrs["model_config"] = config
