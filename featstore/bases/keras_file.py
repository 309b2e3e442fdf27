"""Inspecting a user's network without Keras: its input size, and whether loading it would run foreign code.

The file is a `.keras` archive, or a whole network in HDF5, as Keras 2 saves it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featstore.bases.file_kinds import ARCHIVE_ENDING, check_archive_start
from featstore.bases.hdf5 import open_hdf5
from featstore.errors import BaseUnavailable, RunError, param
from featstore.system.archive import open_archive

_MAX_CONFIG_BYTES = 32 * 2**20
_RUN_CODE = ("Lambda", "__lambda__", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")
_READ_FILES = ("StringLookup", "IntegerLookup", "TextVectorization")  # a vocabulary may be any path; images need none
_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}


def check_archive(path: Path) -> None:
    """Raise BaseUnavailable unless `path` has the members that Keras writes for a network of images, and no others.

    So nothing is unpacked into a folder that the file chooses, and nothing is larger unpacked than the file.
    """
    with _open_archive(path):
        pass


def read_config(path: Path) -> dict[str, Any]:
    """Return the configuration of a network without its compile settings, which are never loaded.

    Raises BaseUnavailable if the file is neither a `.keras` archive nor a whole network in HDF5.
    """
    if path.suffix == ARCHIVE_ENDING:
        with _open_archive(path) as archive:
            if archive.getinfo("config.json").file_size > _MAX_CONFIG_BYTES:
                raise BaseUnavailable(f"{path}: its configuration is over {_MAX_CONFIG_BYTES >> 20} MB: not a network")
            config = json.loads(archive.read("config.json"))
    else:
        config = _read_hdf5(path)
    if not isinstance(config, dict):
        raise BaseUnavailable(f"{path}: its configuration is not a JSON object: not a Keras model")
    return {**config, "compile_config": None}


def saved_by(path: Path) -> str | None:
    """Return the version of Keras that saved the network, as in 2.15.0; None if the file does not say it."""
    if path.suffix == ARCHIVE_ENDING:
        with _open_archive(path) as archive:
            known = "metadata.json" in archive.namelist()
            version = json.loads(archive.read("metadata.json")).get("keras_version") if known else None
    else:
        with open_hdf5(path) as file:
            version = file.attrs.get("keras_version")
    return version if isinstance(version, str) else None


def refuse_archive_of_keras_2(path: Path) -> None:
    """Raise BaseUnavailable, with its version and the way out, for a `.keras` file that Keras 2 saved."""
    version = saved_by(path) if path.suffix == ARCHIVE_ENDING else None
    if version is not None and version.startswith("2."):
        raise BaseUnavailable(
            f"{path}: was saved by Keras {version}, and Keras 3 cannot load a .keras file of Keras 2: save the network "
            f"there with model.save('name.h5') and give that, or, if it is a base of the catalogue, name the base as "
            f"{param('model')} and give this file as {param('weights')}"
        )


def _read_hdf5(path: Path) -> Any:
    with open_hdf5(path) as file:
        config = file.attrs.get("model_config")
    if config is None:
        raise BaseUnavailable(
            f"{path}: holds weights without their network: name the network as {param('model')}, as in "
            f"{param('model', 'MobileNet')}, and give the file as {param('weights')}"
        )
    try:
        return json.loads(config)
    except (ValueError, TypeError, RecursionError) as error:
        raise BaseUnavailable(f"{path}: not a readable network of Keras ({error})") from error


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive for reading; raises BaseUnavailable if it cannot be read or is not as Keras writes it."""
    try:
        with open_archive(path) as archive:
            if unexpected := sorted(set(archive.namelist()) - _MEMBERS):
                raise BaseUnavailable(
                    f"{path}: has a member {unexpected[0]!r}, which no network of images has; do not trust it"
                )
            yield archive
    except FileNotFoundError as error:
        raise BaseUnavailable(f"{path}: no such file; give a model saved with model.save('name.keras')") from error
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, RuntimeError) as error:  # the last: too deep JSON
        check_archive_start(path)
        raise BaseUnavailable(
            f"{path}: not a readable .keras file ({error}); save it with model.save('name.keras')"
        ) from error


def input_size(path: Path) -> tuple[int, int] | None:
    """Return the (height, width) in px that the model is fixed to, None if it takes any size."""
    for layer in serialized_objects(read_config(path)):
        settings = _settings(layer)
        shape = settings.get("batch_shape") if layer["class_name"] == "InputLayer" else None
        shape = shape or settings.get("batch_input_shape")  # of Keras 2, in a Sequential in the first layer of any kind
        if isinstance(shape, list) and len(shape) == 4:
            height, width = shape[1:3]
            return (height, width) if isinstance(height, int) and isinstance(width, int) else None
    return None


def input_dtype(path: Path) -> str:
    """Return the dtype of the images that the model takes."""
    inputs = (_settings(item) for item in serialized_objects(read_config(path)) if item["class_name"] == "InputLayer")
    dtype = next(inputs, {}).get("dtype")
    return dtype if isinstance(dtype, str) else "float32"


def scaling_layer(path: Path) -> str | None:
    """Return the name of the first layer that scales pixels, such as Rescaling; None without one, or without a file."""
    if not path.is_file():
        return None
    items = serialized_objects(read_config(path))
    names = (str(_settings(item).get("name")) for item in items if item["class_name"] in ("Rescaling", "Normalization"))
    return next(names, None)


def channels_first(path: Path) -> str | None:
    """Return the name of a layer that keeps the channels before height and width; None if there is none."""
    items = map(_settings, serialized_objects(read_config(path)))
    return next((str(item.get("name")) for item in items if item.get("data_format") == "channels_first"), None)


def last_layer(path: Path) -> str | None:
    """Return the name of the layer whose output is the model's.

    None if the model has several outputs or uses the layer more than once: the name does not say which of its outputs
    is meant. None also for what Keras did not write.
    """
    settings = _settings(read_config(path))
    try:
        uses = {_settings(item)["name"]: len(item.get("inbound_nodes", ())) for item in settings["layers"]}
        output = settings.get("output_layers", [[*uses][-1]])  # a Sequential has no such entry: it ends with its last
        while len(output) == 1 and isinstance(output[0], list):
            output = output[0]
        name = output[0]
        return name if isinstance(name, str) and uses[name] <= 1 else None
    except (AttributeError, LookupError, TypeError):
        return None


def refuse_code(path: Path) -> None:
    """Raise BaseUnavailable, with the layer's name, if the file has anything but Keras' own layers.

    This is not a sandbox: there have been several ways around Keras' safe mode. Load only files from people you trust.
    """
    for item in serialized_objects(read_config(path)):
        if item["class_name"] in (*_RUN_CODE, *_READ_FILES) or _package(item) not in ("keras", "builtins"):
            name = _settings(item).get("name", item["class_name"])
            raise BaseUnavailable(
                f"{path}: layer {name!r} is a {item['class_name']} and needs code that is not Keras' own; "
                "rebuild it from Keras' layers"
            )


def refuse_layers(path: Path, allowed: Collection[str]) -> None:
    """Raise RunError, with the name of the class, for any object in the file whose class is not in `allowed`."""
    for item in serialized_objects(read_config(path)):
        if item["class_name"] not in allowed or _package(item) != "keras":
            raise RunError(f"{path}: has a {item['class_name']!r}, which no head of featstore has; do not trust it")


def serialized_objects(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all serialized objects of a config in order, without recursion: a file may nest them to any depth."""
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
    """Return the package of the class: Keras writes null for a user's class, and no module for its own markers."""
    return str(item.get("module", "keras")).split(".")[0]
