"""Inspecting untrusted `.keras` files without Keras."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from featstore.bases import keras_file
from featstore.bases.keras_file import (
    channels_first,
    input_dtype,
    input_size,
    last_layer,
    read_config,
    refuse_code,
    refuse_layers,
)
from featstore.errors import BaseUnavailable, RunError
from helpers.keras_files import CONV, INPUT, model, write


def nested(depth: int) -> str:
    """Return an object in `depth` lists as JSON."""
    return '{"class_name": "A", "config": ' + "[" * depth + json.dumps(CONV) + "]" * depth + "}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "base.keras"


def test_a_missing_file_is_named_with_the_remedy(file: Path) -> None:
    """The message says how a model is saved."""
    with pytest.raises(BaseUnavailable, match=r"base\.keras: no such file; .*model\.save"):
        read_config(file)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "is empty"),
        (b"no zip", "is a text that begins with 'no zip'"),
        (b"PK\x03\x04" + bytes(200), "is cut off: 204 bytes are there"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), r"is an HDF5 file, not a \.keras archive: give its name the ending \.h5"),
    ],
)
def test_a_file_that_is_not_an_archive_is_refused(file: Path, content: bytes, reason: str) -> None:
    """What it is in its place is told, with the path."""
    file.write_bytes(content)
    with pytest.raises(BaseUnavailable, match=rf"base\.keras: {reason}"):
        read_config(file)


@pytest.mark.parametrize("config", ["", "{", "\0", "[" * 100_000, '{"a": ' * 100_000])
def test_a_config_that_is_not_json_is_refused(file: Path, config: str) -> None:
    """Other text and too deep JSON are refused like a damaged file."""
    with pytest.raises(BaseUnavailable, match=r"base\.keras: not a readable \.keras file"):
        read_config(write(file, config))


def test_an_archive_without_a_config_is_refused(file: Path) -> None:
    """Another zip archive is not a model."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", "{}")
    with pytest.raises(BaseUnavailable, match=r"config\.json"):
        read_config(file)


@pytest.mark.parametrize("config", [[], "text", 5, None])
def test_a_config_that_is_not_an_object_is_refused(file: Path, config: object) -> None:
    """Other JSON is not a model."""
    with pytest.raises(BaseUnavailable, match="not a Keras model"):
        read_config(write(file, json.dumps(config)))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder with such a name is an expected error."""
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(BaseUnavailable, match="cannot be opened"):
        read_config(tmp_path / "folder.keras")


def test_a_config_that_would_fill_the_memory_is_not_unpacked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config over the limit is refused by its declared size."""
    write(file, model(CONV))
    monkeypatch.setattr(keras_file, "_MAX_CONFIG_BYTES", 10)
    with pytest.raises(BaseUnavailable, match="configuration is over"):
        read_config(file)


@pytest.mark.parametrize(
    "shape, expected",
    [
        ([None, 32, 48, 3], (32, 48)),
        ([None, None, None, 3], None),
        ([None, None, 48, 3], None),
        ([None, 12], None),
        ("text", None),
        (None, None),
    ],
)
def test_the_input_size_is_that_of_the_input_layer(file: Path, shape: object, expected: object) -> None:
    """(height, width) where both are fixed, None for any other shape."""
    layer = {**INPUT, "config": {"batch_shape": shape}}
    assert input_size(write(file, model(CONV, layer))) == expected


def test_a_file_without_an_input_layer_has_no_size(file: Path) -> None:
    """The size is None if no input layer has one."""
    assert input_size(write(file, model(CONV, {**INPUT, "config": "text"}))) is None


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "mine"}},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"name": "mine"}},
        {"module": None, "class_name": "Mine", "config": {"name": "mine"}, "registered_name": "my>Mine"},
        {"module": "my_code.layers", "class_name": "Mine", "config": {"name": "mine"}},
        {"module": "keras_hub.layers", "class_name": "Mine", "config": {"name": "mine"}},
        {"module": "kerasx", "class_name": "Conv2D", "config": {"name": "mine"}},
        {"module": 5, "class_name": "Conv2D", "config": {"name": "mine"}},
    ],
)
def test_a_layer_that_needs_code_is_refused_by_its_name(file: Path, layer: dict[str, Any]) -> None:
    """Lambda layers, registered classes and classes of other packages are refused at any depth."""
    for config in (model(CONV, layer), model(CONV, model(model(layer))), model({**CONV, "config": {"inner": [layer]}})):
        with pytest.raises(BaseUnavailable, match=f"layer 'mine' is a {layer['class_name']}"):
            refuse_code(write(file, config))


@pytest.mark.parametrize(
    "item",
    [
        {"class_name": "__lambda__", "config": {"value": ["code", None, None]}},
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        {"module": "os", "class_name": "function"},
    ],
)
def test_a_function_in_the_file_is_refused(file: Path, item: dict[str, Any]) -> None:
    """Lambdas and functions of other modules are refused as settings of a layer too."""
    with pytest.raises(BaseUnavailable, match="needs code"):
        refuse_code(write(file, model({**CONV, "config": {"name": "conv", "activation": item}})))


def test_layers_of_keras_are_accepted(file: Path) -> None:
    """Keras' own layers, its markers and its functions by name are accepted."""
    marker = {"class_name": "__keras_tensor__", "config": {"shape": [None, 3]}}
    function = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "relu"}
    refuse_code(write(file, model(INPUT, {**CONV, "inbound": [marker], "config": {"activation": function}})))


def test_a_custom_loss_of_the_model_is_accepted(file: Path) -> None:
    """It is never loaded."""
    loss = {"module": None, "class_name": "MyLoss", "config": {}, "registered_name": "MyLoss"}
    refuse_code(write(file, model(CONV, compile_config={"loss": loss})))


def test_a_custom_loss_of_an_inner_model_is_refused(file: Path) -> None:
    """Keras loads the loss of a model within the model."""
    loss = {"module": None, "class_name": "MyLoss", "config": {}, "registered_name": "MyLoss"}
    with pytest.raises(BaseUnavailable, match="MyLoss"):
        refuse_code(write(file, model(CONV, model(CONV, compile_config={"loss": loss}))))


@pytest.mark.parametrize("depth", [900, 950, 980])
def test_no_depth_of_nesting_hides_a_layer(file: Path, depth: int) -> None:
    """All that the JSON parser accepts is searched; the rest is refused."""
    config = nested(depth).replace("Conv2D", "Lambda")
    with pytest.raises(BaseUnavailable):
        refuse_code(write(file, config))


def test_a_head_may_have_only_the_layers_of_heads(file: Path) -> None:
    """A class outside the list is refused by its name."""
    refuse_layers(write(file, model(CONV)), {"Functional", "Conv2D"})
    with pytest.raises(RunError, match="has a 'Conv2D'"):
        refuse_layers(file, {"Functional", "Dense"})


@pytest.mark.parametrize("module", [None, 5, "os", "kerasx", "builtins", "my.keras"])
def test_a_known_name_of_another_package_is_refused(file: Path, module: object) -> None:
    """A class is known only if it is Keras' own."""
    with pytest.raises(RunError, match="has a 'Conv2D'"):
        refuse_layers(write(file, model({**CONV, "module": module})), {"Functional", "Conv2D"})


def named(name: str, *uses: object) -> dict[str, Any]:
    return {**CONV, "name": name, "config": {"name": name}, "inbound_nodes": list(uses)}


@pytest.mark.parametrize(
    ("layers", "outputs", "name"),
    [
        ([named("a"), named("b", 1)], [["b", 0, 0]], "b"),
        ([named("a"), named("b", 1)], ["b", 0, 0], "b"),
        ([named("b", 1), named("a")], ["b", 0, 0], "b"),
        ([named("a", 1), named("b", 1)], [["a", 0, 0], ["b", 0, 0]], None),
        ([named("a", 1, 2)], ["a", 1, 0], None),
        ([named("a")], ["missing", 0, 0], None),
        ([named("a")], [], None),
        ([named("a")], {"x": ["a", 0, 0]}, None),
        ([5], ["a", 0, 0], None),
        ("layers", ["a", 0, 0], None),
    ],
)
def test_the_last_layer_is_known_from_the_file(file: Path, layers: Any, outputs: Any, name: str | None) -> None:
    """None where the file does not say, or says it in another way than Keras."""
    config = {"module": "keras", "class_name": "Functional", "config": {"layers": layers, "output_layers": outputs}}
    assert last_layer(write(file, config)) == name


def test_the_last_layer_of_a_sequence_is_its_last(file: Path) -> None:
    """Keras does not write its outputs."""
    assert last_layer(write(file, model(INPUT, CONV))) is None  # an input without a name was not written by Keras
    assert last_layer(write(file, model(named("a"), CONV))) == "conv"


def test_the_dtype_of_the_input_and_the_order_of_channels_are_known_from_the_file(file: Path) -> None:
    """By default images are float32, and channels are last."""
    assert input_dtype(write(file, model(INPUT, CONV))) == "float32"
    assert channels_first(file) is None
    whole = {**INPUT, "config": {**INPUT["config"], "dtype": "uint8"}}  # type: ignore[dict-item]
    turned = {**CONV, "config": {"name": "turned", "data_format": "channels_first"}}
    assert input_dtype(write(file, model(whole, turned))) == "uint8"
    assert channels_first(file) == "turned"
