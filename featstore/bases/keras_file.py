"""A look into a `.keras` file without Keras: its input size, and whether loading it would need somebody's code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featstore.errors import BaseUnavailable, RunError
from featstore.system.archive import open_archive

_MAX_CONFIG_BYTES = 32 * 2**20
_RUN_CODE = ("Lambda", "__lambda__", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")
_READ_FILES = ("StringLookup", "IntegerLookup", "TextVectorization")  # a vocabulary may be any path; images need none
_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}


def check_archive(path: Path) -> None:
    """Raise BaseUnavailable unless `path` holds just what Keras writes for a network of images, and as it does.

    So nothing is unpacked into a folder of a stranger's choice, and nothing becomes larger than the file.
    """
    with _open_archive(path):
        pass


def read_config(path: Path) -> dict[str, Any]:
    """The `config.json` of a `.keras` archive, less what the model was compiled with, which is never loaded.

    Raises BaseUnavailable where the file is not one.
    """
    with _open_archive(path) as archive:
        if archive.getinfo("config.json").file_size > _MAX_CONFIG_BYTES:
            raise BaseUnavailable(f"{path}: its config.json is over {_MAX_CONFIG_BYTES >> 20} MB: not a Keras model")
        config = json.loads(archive.read("config.json"))
    if not isinstance(config, dict):
        raise BaseUnavailable(f"{path}: its config.json is not that of a Keras model")
    return {**config, "compile_config": None}


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive for reading; raises BaseUnavailable for what is not as Keras writes it, or cannot be read."""
    try:
        with open_archive(path) as archive:
            if strange := sorted(set(archive.namelist()) - _MEMBERS):
                raise BaseUnavailable(f"{path}: holds {strange[0]!r}, which no network of images has; do not trust it")
            yield archive
    except FileNotFoundError as error:
        raise BaseUnavailable(f"{path}: no such file; give a model saved with model.save('name.keras')") from error
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, RuntimeError) as error:  # too deep JSON is the last
        raise BaseUnavailable(
            f"{path}: not a .keras file that can be read ({error}); save it with model.save('name.keras')"
        ) from error


def input_size(path: Path) -> tuple[int, int] | None:
    """(height, width) that the model is fixed to, None where it takes any size."""
    for layer in _objects(read_config(path)):
        shape = _settings(layer).get("batch_shape") if layer["class_name"] == "InputLayer" else None
        if isinstance(shape, list) and len(shape) == 4:
            height, width = shape[1:3]
            return (height, width) if isinstance(height, int) and isinstance(width, int) else None
    return None


def refuse_code(path: Path) -> None:
    """Raise BaseUnavailable, with the layer's name, if the file holds anything but Keras' own layers.

    A seat belt, not a wall: Keras had several ways around its safe mode. Load only files from people you trust.
    """
    for item in _objects(read_config(path)):
        if item["class_name"] in (*_RUN_CODE, *_READ_FILES) or _package(item) not in ("keras", "builtins"):
            name = _settings(item).get("name", item["class_name"])
            raise BaseUnavailable(
                f"{path}: layer {name!r} is a {item['class_name']} and needs code that is not Keras' own; "
                "rebuild it from Keras' layers"
            )


def refuse_layers(path: Path, allowed: Collection[str]) -> None:
    """Raise RunError, with its name, for any object in the file whose class is not among `allowed`."""
    for item in _objects(read_config(path)):
        if item["class_name"] not in allowed or _package(item) != "keras":
            raise RunError(f"{path}: holds a {item['class_name']!r}, which no head of featstore has; do not trust it")


def _objects(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All serialized objects in a config, in the order in which they stand; nested as deep as a stranger likes."""
    waiting: list[Any] = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("class_name"), str):
                yield node
            waiting += reversed(node.values())
        elif isinstance(node, list):
            waiting += reversed(node)


def _settings(item: dict[str, Any]) -> dict[str, Any]:
    settings = item.get("config")
    return settings if isinstance(settings, dict) else {}


def _package(item: dict[str, Any]) -> str:
    """Where the class comes from: Keras writes null for one of the user's, and nothing for its own markers."""
    return str(item.get("module", "keras")).split(".")[0]
