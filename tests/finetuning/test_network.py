"""The trained part, for one base of every family: its training, its frozen statistics, and its reload."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from featstore.bases.blocks import Separator
from featstore.bases.build import load_held, weights_digest
from featstore.bases.catalog import BASES
from featstore.bases.held import release_bases
from featstore.bases.keras_internals import all_layers
from featstore.datasets.digests import DigestMemory
from featstore.errors import BaseUnavailable, UsageError
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe
from featstore.finetuning.diagram import describe_fine_tuning, describe_head
from featstore.finetuning.folding import fold
from featstore.finetuning.network import (
    Body,
    check_rates,
    copy_in_float32,
    trained_layers,
    unfreeze,
    variables_by_rate,
)
from featstore.heads.fine_tuned import FineTunedNetwork
from featstore.heads.step import Group, compile_step
from featstore.spec import FeatureSpec
from helpers.cli import WARNINGS
from helpers.networks import shrink_convnext, shrink_stages

FAMILIES = {  # one of each module of keras.applications, and whether it has BatchNormalization
    "VGG16": False,
    "ResNet50": True,
    "ResNet50V2": True,
    "Xception": True,
    "InceptionV3": True,
    "InceptionResNetV2": True,
    "MobileNet": True,
    "MobileNetV2": True,
    "MobileNetV3Small": True,
    "DenseNet121": True,
    "EfficientNetB0": True,
    "EfficientNetV2B0": True,
    "ConvNeXtTiny": False,
    "tiny": True,
}
RNG = np.random.default_rng(0)
LABELS = np.array([0, 1, 2, 1])
Weights = list[np.ndarray]


@dataclass
class Family:
    """The results of training the top of one base for two steps, alone and as part of the whole network."""

    body: Body
    cut: Separator
    start: Weights
    alone: Weights
    within: Weights
    statistics_before: Weights
    statistics_after: Weights
    trained: Path
    activations: np.ndarray
    probabilities: np.ndarray


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Family]:
    """Return a function that makes each family once; it keeps only the last, since fourteen would take gigabytes."""
    folder = tmp_path_factory.mktemp("families")
    made: dict[str, Family] = {}

    def make(name: str) -> Family:
        if name not in made:
            made.clear()
            release_bases()
            with pytest.MonkeyPatch.context() as patch:
                shrink_convnext(patch)
                shrink_stages(patch)
                made[name] = make_family(name, folder)
            release_bases()
        return made[name]

    return make


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, workshop: Callable[[str], Family]) -> Family:
    return workshop(request.param)


def sized(name: str) -> int:
    """Return the smallest input side; EfficientNets get 64 px, because batch statistics of 1x1 maps diverge."""
    return 64 if name.startswith("Eff") else BASES[name].min_size if name in BASES else 32


def calibrated(name: str, images: np.ndarray) -> tuple[Recipe, FeatureSpec]:
    """Return a base with random weights and real batch statistics; without them deep networks output almost zero."""
    recipe = Recipe(model=name, weights="random", size=sized(name), dtype="float32")
    source, spec = recipe.source(), resolve_recipe(recipe, DigestMemory(Path("/nowhere")))
    held = load_held(source, sized(name), sized(name), "none" if source.info.map_pools else "avg", None)  # type: ignore[union-attr]
    base = held.model
    for layer in all_layers(base):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    base(spec.preprocessing.apply(images), training=True)
    held.digest = weights_digest(base)
    return recipe, replace(spec, weights=held.digest)


def make_family(name: str, folder: Path) -> Family:
    images = RNG.integers(0, 256, (4, sized(name), sized(name), 3), dtype=np.uint8)
    recipe, spec = calibrated(name, images)
    body = Body(recipe.source(), spec, None)
    cut = body.find_cut(None, None, None)
    keras.utils.set_random_seed(0)
    head = keras.Sequential(
        [
            keras.Input(body._model.output_shape[1:]),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    alone, whole = body.network(cut, head), body.network(None, head)
    for network in (alone, whole):
        unfreeze(network)
        for layer in all_layers(network):
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0  # otherwise each network drops other units
    above = {layer.name for layer in alone.layers}
    for layer in whole.layers:
        layer.trainable = layer.trainable and layer.name in above
    prepared = spec.preprocessing.apply(images)
    activations = np.asarray(keras.Model(body._model.input, cut.tensor)(prepared, training=False))
    start, statistics = values(alone.trainable_variables), values(kept(alone))
    train(fold(alone), activations)  # as `fine-tune` does
    # Tracing a graph of all these layers takes longer than two steps; ConvNeXt's convolutions need one on a CPU.
    tf.config.run_functions_eagerly(name != "ConvNeXtTiny")
    train(whole, prepared)
    tf.config.run_functions_eagerly(False)
    classifier = FineTunedNetwork(3, alone)
    (folder / name).mkdir()
    trained = folder / name / classifier.save(folder / name)
    np.savez(folder / name / "rows.npz", X=activations, probabilities=classifier.predict_proba(activations))
    return Family(
        body,
        cut,
        start,
        values(alone.trainable_variables),
        values(whole.trainable_variables),
        statistics,
        values(kept(alone)),
        trained,
        activations,
        classifier.predict_proba(activations),
    )


def train(network: Any, rows: np.ndarray) -> None:
    optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
    step = compile_step(network, [Group(optimizer, network.trainable_variables)])
    for _ in range(2):
        step(rows, LABELS)


def values(variables: list[Any]) -> Weights:
    return [variable.numpy() for variable in variables]


def kept(network: Any) -> list[Any]:
    """Return gamma, beta, mean and variance of each BatchNormalization."""
    return [
        v for layer in all_layers(network) if isinstance(layer, keras.layers.BatchNormalization) for v in layer.weights
    ]


def test_the_top_alone_gets_the_weights_that_it_gets_in_the_whole_network(family: Family) -> None:
    """The weights are, to rounding, those of the whole network trained with its bottom frozen."""
    moved = [np.linalg.norm(b - a) for a, b in zip(family.start, family.within, strict=True)]
    error = [np.linalg.norm(b - a) for a, b in zip(family.alone, family.within, strict=True)]
    assert np.linalg.norm(moved) > 1e-5
    assert np.linalg.norm(error) < 1e-3 * np.linalg.norm(moved)
    assert sum(m > 0 for m in moved) > 0.8 * len(moved)


def test_statistics_are_bit_identical_after_training(family: Family, request: pytest.FixtureRequest) -> None:
    """BatchNormalization in the trained part keeps its mean and variance."""
    assert len(family.statistics_before) > (4 if FAMILIES[request.node.callspec.params["family"]] else 3)
    for before, after in zip(family.statistics_before, family.statistics_after, strict=True):
        assert np.array_equal(before, after)


def test_the_parts_show_what_is_trained(family: Family) -> None:
    """Parts below the cut are frozen and those above are trained; together they hold all parameters."""
    head = keras.Sequential([keras.Input(family.body._model.output_shape[1:]), keras.layers.Dense(3)])
    network = family.body.network(family.cut, head)
    unfreeze(network)
    parts, image, first = describe_fine_tuning(family.body, family.cut, network)
    assert image == family.body.image
    assert first == next(place for place, part in enumerate(parts) if part.trained)
    assert 0 < first < len(parts) - 1
    assert all(part.trained or not part.parameters for part in parts[first:])
    assert parts[first - 1].shape == family.activations.shape[1:]
    assert sum(part.trained for part in parts) == sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    assert sum(p.parameters for p in parts) == family.body._model.count_params() + parts[-1].parameters
    assert (parts[-1].name, parts[-1].shape, parts[-1].detail) == ("Dense 3", (3,), "head")


def test_the_parts_of_a_head_on_a_frozen_base_are_its_layers(family: Family) -> None:
    """As Keras' own picture of a model names them; the cache stands before the first, whether it is trained or not."""
    head = keras.Sequential(
        [
            keras.Input(family.body._model.output_shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    parts, _, cached = describe_head(family.body, head)
    assert cached is not None
    assert [part.name for part in parts[cached:]] == ["Flatten", "Dense 256", "Dropout 0.5", "Dense 3"]
    assert [part.detail for part in parts[cached:]] == ["head", "head, relu", "head", "head, softmax"]
    assert [part.shape for part in parts[cached + 1 :]] == [(256,), (256,), (3,)]
    assert not any(part.trained for part in parts[:cached])
    assert sum(part.parameters for part in parts[:cached]) == family.body._model.count_params()
    assert all(part.trained == part.parameters for part in parts[cached:])


def test_pixels_have_no_base() -> None:
    """The head sees what is cached, and that are the images."""
    head = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    parts, image, cached = describe_head(None, head)
    assert ([part.name for part in parts], image, cached) == (["Conv2D 4", "Flatten"], (8, 8, 3), 0)
    assert parts[0].detail == "head, 3×3"


RELOAD = """
import sys, pathlib, numpy as np
from featstore.heads.fine_tuned import FineTunedNetwork
for name in sys.argv[2:]:
    folder = pathlib.Path(sys.argv[1]) / name
    network = FineTunedNetwork(3)
    network.load(folder / "trained.keras")
    rows = np.load(folder / "rows.npz")
    assert np.array_equal(network.predict_proba(rows["X"]), rows["probabilities"]), name
"""


def test_every_family_predicts_the_same_in_another_process(workshop: Callable[[str], Family]) -> None:
    """Predictions are bit-identical after a reload, also for EfficientNet (keras#20147 reloaded it wrongly)."""
    folder = workshop("tiny").trained.parents[1]
    missing = [name for name in FAMILIES if not (folder / name / "rows.npz").exists()]
    for name in missing:
        workshop(name)
    subprocess.run([sys.executable, *WARNINGS, "-c", RELOAD, str(folder), *FAMILIES], check=True)


def test_a_layer_called_head_is_refused(tmp_path: Path) -> None:
    """The error comes before anything is computed."""
    image = keras.Input((16, 16, 3))
    keras.Model(image, keras.layers.Conv2D(4, 3, name="head")(image)).save(tmp_path / "user.keras")
    recipe = Recipe(model=str(tmp_path / "user.keras"), preprocess="raw")
    with pytest.raises(UsageError, match="one of its layers is called 'head'"):
        Body(recipe.source(), resolve_recipe(recipe, DigestMemory(tmp_path)), None)
    release_bases()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Body:
    recipe = Recipe(model="tiny", size=32)
    return Body(recipe.source(), resolve_recipe(recipe, DigestMemory(tmp_path_factory.mktemp("digests"))), None)


def head_for(body: Body) -> Any:
    return keras.Sequential([keras.Input((256,)), keras.layers.Dense(3, activation="softmax")])


def test_the_base_itself_is_never_changed(tiny: Body) -> None:
    """The trained part is a copy, so later extractions in this process use the unchanged base."""
    before = values(tiny._model.weights)
    network = tiny.network(tiny.find_cut(2, None, None), head_for(tiny))
    unfreeze(network)
    step = compile_step(network, [Group(keras.optimizers.SGD(1.0), network.trainable_variables)])
    step(RNG.normal(size=(4, *network.input_shape[1:])).astype("float32"), LABELS)
    assert all(np.array_equal(a, b) for a, b in zip(before, values(tiny._model.weights), strict=True))
    assert not any(layer.trainable for layer in all_layers(tiny._model)) or tiny._model.trainable


def test_train_bn_changes_the_statistics(tiny: Body) -> None:
    """The scale is trained too, and the mean and variance change."""
    network = tiny.network(tiny.find_cut(1, None, None), head_for(tiny))
    unfreeze(network, train_bn=True)
    before = values(kept(network))
    step = compile_step(network, [Group(keras.optimizers.SGD(0.1), network.trainable_variables)])
    step(RNG.normal(size=(4, *network.input_shape[1:])).astype("float32"), LABELS)
    assert not any(np.array_equal(a, b) for a, b in zip(before, values(kept(network)), strict=True))


def test_rates_are_those_of_the_longest_prefix(tiny: Body) -> None:
    """A layer with a rate of 0 is frozen, BatchNormalization included, and is not listed as trained."""
    network = tiny.network(tiny.find_cut(1, None, None), head_for(tiny))
    rates = {"block2a": 0.5, "block2a_2": 0.25, "widen": 0.0, "head": 2.0}
    unfreeze(network, train_bn=True, rates=rates)
    groups = variables_by_rate(network, 1.0, rates)
    names = {rate: {v.path.split("/")[0] for v in variables} for rate, variables in groups.items()}
    assert names[0.25] == {"block2a_2_bn", "block2a_2_conv"}
    assert names[2.0] == {"head"}
    assert names.keys() == {0.5, 0.25, 2.0}
    assert not any(name.startswith("widen") for name in trained_layers(network))
    assert not network.get_layer("widen_bn").trainable


def test_a_prefix_ends_with_its_number() -> None:
    """block1 is not a prefix of block12; a prefix that fits no layer is an error that lists the names."""
    check_rates(["conv1_a", "conv12_a", "head"], {"conv1": 1.0, "conv12_a": 1.0, "head": 0.0})
    with pytest.raises(UsageError, match=r"rates='conv1': no trained layer has a name that begins so; they are conv12"):
        check_rates(["conv12_a"], {"conv1": 1.0})


def test_statistics_are_kept_inside_wrappers_and_nested_models() -> None:
    """BatchNormalization is found in nested models and wrappers; layers that a user saved as frozen are trained."""
    inner = keras.Sequential([keras.Input((4, 3)), keras.layers.BatchNormalization(), keras.layers.Dense(3)])
    inner.trainable = False
    wrapped = keras.layers.TimeDistributed(keras.layers.BatchNormalization())
    model = keras.Sequential([keras.Input((4, 3)), inner, wrapped, keras.layers.Dense(2)])
    unfreeze(model)
    assert len(kept(model)) == 8
    assert not any(layer.trainable for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization))
    assert len(model.trainable_variables) == 4


def test_a_base_may_be_any_of_a_users_networks(tmp_path: Path) -> None:
    """It may have operations that are not layers, a layer called `pool`, or be a Sequential."""
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, name="first")(image)
    x = keras.layers.Conv2D(4, 3, name="second")(x)
    x = keras.ops.relu(x) * 2.0
    model = keras.Model(image, keras.layers.Conv2D(4, 3, name="pool")(x))
    chain = keras.Sequential([keras.Input((16, 16, 3)), *(keras.layers.Conv2D(4, 3, name=n) for n in ("first", "b"))])
    for network, layer in ((model, "second"), (chain, "b")):
        network.save(tmp_path / "user.keras")
        recipe = Recipe(model=str(tmp_path / "user.keras"), preprocess="raw")
        body = Body(recipe.source(), resolve_recipe(recipe, DigestMemory(tmp_path)), None)
        head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        top = body.network(body.find_cut(None, None, layer), head)
        release_bases()
        assert top.layers[-1].name == "head"
        assert len({found.name for found in top.layers}) == len(top.layers)
        names = [found.name for found in top.layers]
        assert ("pool_of_base" in names) == (network is model)


def test_layers_have_the_names_of_the_base(tiny: Body) -> None:
    """The names do not depend on other networks that the process has built."""
    network = tiny.network(tiny.find_cut(1, None, None), head_for(tiny))
    unfreeze(network)
    assert trained_layers(network) == [
        "block2a_1_conv",
        "block2a_2_conv",
        "block2a_shortcut_conv",
        "widen_conv",
        "head",
    ]
    assert network.layers[-2].name == "pool"


def test_mixed_precision_computes_in_half_and_keeps_whole_weights(tiny: Body) -> None:
    """The base computes in bfloat16 and the head in float32; the copy for prediction computes in float32 throughout."""
    network = tiny.network(tiny.find_cut(1, None, None), head_for(tiny), "mixed_bfloat16")
    assert network.get_layer("widen_conv").compute_dtype == "bfloat16"
    assert {variable.dtype for variable in network.weights} == {"float32"}
    assert network.get_layer("head").layers[-1].compute_dtype == "float32"
    whole = copy_in_float32(network)
    assert {layer.compute_dtype for layer in all_layers(whole)} == {"float32"}
    rows = RNG.normal(size=(4, *network.input_shape[1:])).astype("float32")
    assert np.asarray(network(rows)) == pytest.approx(np.asarray(whole(rows)), abs=0.05)
    assert not np.array_equal(np.asarray(network(rows)), np.asarray(whole(rows)))


def test_other_weights_than_those_of_the_head_are_refused(tmp_path: Path) -> None:
    """Before anything is trained."""
    spec = resolve_recipe(Recipe(model="tiny", size=32), DigestMemory(tmp_path))
    with pytest.raises(BaseUnavailable, match="are not those that made these features"):
        Body(Recipe(model="tiny", weights="random").source(), spec, None)
