"""Users' networks that Keras 3 would not load, or not compute in float32: half precision, and files of Keras 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from featstore.bases.build import build_new
from featstore.bases.cut import cut_at
from featstore.bases.keras_file import input_size, saved_by
from featstore.bases.loadable import identify
from featstore.bases.source import parse_source
from featstore.errors import BaseUnavailable
from helpers.keras_files import CONV, INPUT, model, write
from helpers.networks import save_model, save_weights, save_whole

SIDE = 16
DIGEST = "0" * 64
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16", "float16"])
def half(request: pytest.FixtureRequest) -> Iterator[str]:
    """Networks of the test are built under a policy of half precision."""
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def network(**last: Any) -> Any:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.DepthwiseConv2D(3, name="depthwise")(layers.Rescaling(1 / 255)(inputs))
    x = layers.SeparableConv2D(4, 3, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3, **last)(layers.GlobalAveragePooling2D()(x)))


def load(path: Path) -> Any:
    return build_new(parse_source(str(path), None, None, 0), SIDE, SIDE)


@pytest.mark.parametrize("save", [save_model, save_whole])
def test_a_network_of_half_precision_computes_in_float32(half: str, save: Any, tmp_path: Path) -> None:
    """It is exactly the network with the same weights that was built in float32, in each format."""
    built = network(dtype="float32")
    path = save(built, tmp_path / "half")
    keras.config.set_dtype_policy("float32")
    exact = network()
    exact.set_weights(built.get_weights())
    loaded = load(path)
    np.testing.assert_array_equal(loaded.model(IMAGES), exact(IMAGES))
    assert loaded.digest != loaded.file.digest


def test_rows_of_half_precision_have_a_key_of_their_own(half: str, tmp_path: Path) -> None:
    """Rows that an earlier release computed in half precision are not used for it; other files keep their digest."""
    mixed = save_model(network(), tmp_path / "half")
    keras.config.set_dtype_policy("float32")
    assert identify(mixed, DIGEST) == identify(mixed, DIGEST) != DIGEST
    assert identify(save_model(network(), tmp_path / "whole"), DIGEST) == DIGEST
    assert load(tmp_path / "whole.keras").digest == load(tmp_path / "whole.keras").file.digest


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_quantized_network_is_refused(tmp_path: Path) -> None:
    """Its weights are rounded, so there is nothing to compute in float32."""
    built = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Flatten(), layers.Dense(2, name="last")])
    built.quantize("int8")
    built.save(tmp_path / "q.keras")
    with pytest.raises(BaseUnavailable, match="layer 'last' computes in int8_from_float32: expected float32"):
        load(tmp_path / "q.keras")


def as_in_keras_2(config: dict[str, Any]) -> None:
    """Write a configuration as Keras 2 does: calls as lists, those of an inner network counted from 1, and `groups`."""
    settings = config["config"]
    for layer in settings["layers"]:
        layer["inbound_nodes"] = [
            [[name, number + (name == "inner"), place, {}]]
            for node in layer["inbound_nodes"]
            for name, number, place in [node["args"][0]["config"]["keras_history"]]
        ]
        if layer["class_name"] == "DepthwiseConv2D":
            layer["config"]["groups"] = 1
        if layer["class_name"] == "InputLayer":
            layer["config"]["batch_input_shape"] = layer["config"].pop("batch_shape")
        if layer["class_name"] == "Functional":
            as_in_keras_2(layer)
    settings |= {end: [settings[end]] for end in ("input_layers", "output_layers")}


def test_a_whole_network_of_keras_2_is_loaded_from_hdf5(tmp_path: Path) -> None:
    """With a network inside it, and with what Keras 3 itself refuses; its size and version are known from the file."""
    inputs = keras.Input((SIDE, SIDE, 3))
    parts = network()
    inner = keras.Model(parts.inputs[0], parts.outputs[0], name="inner")
    whole = keras.Model(inputs, layers.Dense(2)(inner(layers.Rescaling(2.0)(inputs))))
    path = save_whole(whole, tmp_path / "old", as_in_keras_2)
    loaded = cut_at(load(path).model, "last", "none", saved=True)
    np.testing.assert_array_equal(loaded(IMAGES), whole(IMAGES))
    assert input_size(path) == (SIDE, SIDE)
    assert saved_by(path) == "2.15.0"


def test_an_archive_of_keras_2_is_refused_with_its_version_and_the_way_out(tmp_path: Path) -> None:
    """Keras 3 cannot load it, and says so in many lines about modules."""
    import zipfile

    path = write(tmp_path / "old.keras", model(INPUT, CONV))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("metadata.json", '{"keras_version": "2.13.1"}')
    with pytest.raises(BaseUnavailable, match=r"saved by Keras 2\.13\.1.*model\.save\('name\.h5'\).*`weights`"):
        parse_source(str(path), None, None, 0)


def test_weights_without_a_network_are_no_base(tmp_path: Path) -> None:
    """The message says with what to give them."""
    path = save_weights(network(), tmp_path / "w")
    with pytest.raises(BaseUnavailable, match="holds weights without their network: name the network as `model`"):
        parse_source(str(path), None, None, 0)


def test_code_in_hdf5_is_refused(tmp_path: Path) -> None:
    """As in an archive, before Keras sees it."""
    whole = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Flatten(name="mine")])
    path = save_whole(whole, tmp_path / "w", lambda c: c["config"]["layers"][-1].update(class_name="Lambda"))
    with pytest.raises(BaseUnavailable, match="layer 'mine' is a Lambda and needs code"):
        parse_source(str(path), None, None, 0)
