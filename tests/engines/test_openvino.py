"""A base on OpenVINO: the same rows as on TensorFlow, and kept so that TensorFlow need not load again."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from featstore.bases.source import BaseSource
from featstore.datasets.digests import DigestMemory
from featstore.engines import load, openvino_loader, trial
from featstore.engines.conversion import convert
from featstore.engines.load import load_network
from featstore.engines.memory import Choice, Memory
from featstore.engines.network import Network
from featstore.engines.openvino import OpenVINONetwork, _Streams
from featstore.engines.tensorflow import TensorFlowNetwork, load_tensorflow_network
from featstore.engines.trial import largest_difference, trial_pixels
from featstore.errors import BaseUnavailable
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe
from featstore.images.preprocessing import NAMED
from featstore.spec import FeatureSpec
from helpers.photos import draw

pytest.importorskip("openvino")
MANY = 10_000
IMAGES = np.stack([np.asarray(draw("discs", number, (32, 32))) for number in range(37)])


def resolved(tmp_path: Path, model: str = "tiny", **options: Any) -> tuple[BaseSource, FeatureSpec]:
    recipe = Recipe(model=model, size=32, **options)
    return recipe.source(), resolve_recipe(recipe, DigestMemory(tmp_path / "digests"))


def of(network: Network) -> str:
    return network.engine.split()[0]


@pytest.fixture
def base(tmp_path: Path) -> tuple[BaseSource, list[FeatureSpec]]:
    """The tiny base with three outputs: pooled, a map, and a map from within."""
    source, spec = resolved(tmp_path)
    return source, [spec, replace(spec, pool="none"), replace(spec, layer="stem_relu", pool="none")]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial takes no time: OpenVINO computes twice as many images per second as TensorFlow, which has 100."""
    monkeypatch.setattr(load, "_held", type(load._held)())
    monkeypatch.setattr(trial, "BATCHES", {"CPU": (4,)})
    monkeypatch.setattr(trial, "measure_rate", lambda network, pixels: 100.0 + 100 * (of(network) == "openvino"))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_rows_are_those_of_tensorflow(dtype: type, base: tuple[BaseSource, list[FeatureSpec]]) -> None:
    """For several outputs, in their order, for any number of images and from several threads."""
    source, specs = base
    expected = load_tensorflow_network(source, specs, None)(IMAGES.astype(dtype))
    network = load_network(source, specs, None, engine="openvino")
    assert of(network) == "openvino"
    for images in (IMAGES, IMAGES[:1], IMAGES[: network.batch]):
        found = network(images.astype(dtype))
        assert [rows.shape for rows in found] == [(len(images), *rows.shape[1:]) for rows in expected]
        assert largest_difference(found, [rows[: len(images)] for rows in expected]) < 1e-5
    results: dict[int, Any] = {}
    call = lambda n: results.update({n: network(IMAGES[n : n + 9].astype(dtype))})  # noqa: E731
    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, found in results.items():
        assert largest_difference(found, [rows[number : number + 9] for rows in expected]) < 1e-5


def test_a_row_is_a_copy(base: tuple[BaseSource, list[FeatureSpec]]) -> None:
    """OpenVINO writes the next result where the last one was."""
    network = load_network(*base, None, engine="openvino")
    first = network(IMAGES[:1])[0]
    kept = first.copy()
    for number in range(1, 8):
        network(IMAGES[number : number + 1])
    assert np.array_equal(first, kept)


def test_outputs_that_nobody_wants_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradients that a layer defines for itself, as swish does, would be computed as well."""
    inputs = keras.Input((8, 8, 3))
    middle = keras.layers.Conv2D(4, 3, activation="swish")(inputs)
    ends = [keras.layers.Conv2D(3, 3, activation="swish")(middle), middle]
    network = TensorFlowNetwork(keras.Model(inputs, ends), NAMED["tf"])
    model = convert(network, 8, 8)
    assert [int(output.partial_shape[3].get_length()) for output in model.outputs] == [3, 4]
    pixels = trial_pixels(8, 8)
    assert largest_difference(OpenVINONetwork(model, "float32", 4)(pixels), network(pixels)) < 1e-5


def test_the_precision_is_always_said(base: tuple[BaseSource, list[FeatureSpec]]) -> None:
    """Where the processor has bfloat16, OpenVINO takes it by itself, and rows differ by 1 %."""
    model = convert(load_tensorflow_network(*base, None), 32, 32)
    network = OpenVINONetwork(model, "float32", 4)
    compiled = network._compile(IMAGES)
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def test_a_network_that_differs_is_refused_where_it_is_asked_for(
    base: tuple[BaseSource, list[FeatureSpec]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not taken otherwise; both are remembered."""
    monkeypatch.setattr(trial, "TOLERANCES", {"float32": 1e-12})
    cache = tmp_path / "cache"
    for _ in range(2):
        assert of(load_network(*base, None, folder=cache, images=MANY)) == "tensorflow"
    with pytest.raises(BaseUnavailable, match=r"OpenVINO differs from TensorFlow by \de-\d+ here"):
        load_network(*base, None, engine="openvino", folder=cache)


def test_the_fastest_is_taken_and_remembered(
    base: tuple[BaseSource, list[FeatureSpec]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time nothing is tried, nor converted."""
    source, specs = base
    cache, told = tmp_path / "cache", list[str]()
    for again in (False, True):
        load._held.clear()
        if again:
            monkeypatch.setattr(load, "load_tensorflow", pytest.fail)
        network = load_network(source, specs, None, folder=cache, images=0 if again else MANY, tell=told.append)
        assert of(network) == "openvino"
        assert load_network(source, specs, None, folder=cache) is network
    assert told == ["trying OpenVINO for tiny at 32x32 px: this takes some seconds, once"]
    assert largest_difference(network(IMAGES), load_tensorflow_network(source, specs, None)(IMAGES)) < 1e-5


def test_tensorflow_is_taken_where_it_is_as_fast(
    base: tuple[BaseSource, list[FeatureSpec]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And remembered; OpenVINO can still be asked for, without another trial."""
    monkeypatch.setattr(trial, "measure_rate", lambda network, pixels: 100.0)
    cache = tmp_path / "cache"
    assert of(load_network(*base, None, folder=cache, images=MANY)) == "tensorflow"
    monkeypatch.setattr(trial, "measure_rate", pytest.fail)
    assert of(load_network(*base, None, folder=cache, images=MANY)) == "tensorflow"
    assert of(load_network(*base, None, folder=cache, engine="openvino")) == "openvino"


def test_few_images_are_not_worth_a_trial(base: tuple[BaseSource, list[FeatureSpec]], tmp_path: Path) -> None:
    """Nothing is converted, measured or written."""
    network = load_network(*base, None, folder=tmp_path / "cache", images=load.FEWEST - 1)
    assert of(network) == "tensorflow"
    assert not (tmp_path / "cache").exists()


def test_what_it_can_save_has_to_exceed_what_it_costs(
    base: tuple[BaseSource, list[FeatureSpec]], tmp_path: Path
) -> None:
    """A thousand images at 100 per second: TensorFlow is measured, and nothing else happens."""
    assert of(load_network(*base, None, folder=tmp_path / "cache", images=load.FEWEST)) == "tensorflow"
    assert not (tmp_path / "cache").exists()


def test_without_openvino_it_is_tensorflow(
    base: tuple[BaseSource, list[FeatureSpec]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word, unless OpenVINO was asked for."""
    monkeypatch.setattr(openvino_loader, "find_spec", lambda name: None)
    assert of(load_network(*base, None, images=10**6)) == "tensorflow"
    with pytest.raises(BaseUnavailable, match=r"engine=.openvino.: OpenVINO is not installed: pip install"):
        load_network(*base, None, engine="openvino")


FAILURES = {
    ImportError("no libtbb"): True,
    RuntimeError("unknown operation"): True,
    RuntimeError("std::bad_alloc"): False,
    MemoryError("too large"): False,
    OSError("disk full"): False,
}


@pytest.mark.parametrize("error", FAILURES, ids=repr)
def test_where_openvino_fails_it_is_tensorflow(
    error: Exception, base: tuple[BaseSource, list[FeatureSpec]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is remembered unless it may pass, and said where OpenVINO was asked for."""

    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(trial, "convert", fail)
    assert of(load_network(*base, None, folder=tmp_path, images=MANY)) == "tensorflow"
    assert bool(list(tmp_path.glob("engines/*.json"))) == FAILURES[error]
    with pytest.raises(BaseUnavailable, match=rf"engine=.openvino.: OpenVINO: {type(error).__name__}: {error}"):
        load_network(*base, None, folder=tmp_path, engine="openvino")


def test_a_trial_goes_on_with_less_memory(
    base: tuple[BaseSource, list[FeatureSpec]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It halves the batch of either engine, as the extraction itself would."""
    run = TensorFlowNetwork._run_batch, _Streams.run

    def on_tensorflow(self: Any, images: np.ndarray) -> Any:
        if self.batch > 8:
            raise MemoryError
        return run[0](self, images)

    def on_openvino(self: Any, images: np.ndarray, batch: int) -> Any:
        if batch > 2:
            raise RuntimeError("std::bad_alloc")
        return run[1](self, images, batch)

    monkeypatch.setattr(TensorFlowNetwork, "_run_batch", on_tensorflow)
    monkeypatch.setattr(_Streams, "run", on_openvino)
    network = load_network(*base, None, folder=tmp_path, images=MANY)
    assert (of(network), network.batch) == ("openvino", 2)


def test_rows_that_are_stored_in_two_ways_are_one_output_each(
    base: tuple[BaseSource, list[FeatureSpec]], tmp_path: Path
) -> None:
    """The same map twice, for float16 and for float32; also as it is kept."""
    source, (_, whole, _) = base
    specs = [whole, replace(whole, dtype="float32")]
    expected = load_tensorflow_network(source, specs, None)(IMAGES)
    for _ in range(2):
        load._held.clear()
        found = load_network(source, specs, None, engine="openvino", folder=tmp_path)(IMAGES)
        assert largest_difference(found, expected) < 1e-5


@pytest.mark.parametrize("engine", ["auto", "tensorflow", "openvino"])
def test_a_forked_process_does_not_wait_forever(
    engine: Any, base: tuple[BaseSource, list[FeatureSpec]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No engine computes in one: the threads that would do it are those of its parent."""
    load_network(*base, None, engine="tensorflow")
    assert load._process == os.getpid()
    monkeypatch.setattr(load, "_process", 1)
    with pytest.raises(BaseUnavailable, match=r"forked from one that has loaded a base.*get_context\('spawn'\)"):
        load_network(*base, None, engine=engine)


def test_a_card_that_is_gone_is_not_used(
    base: tuple[BaseSource, list[FeatureSpec]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engines are tried again."""
    Memory(tmp_path, *base).remember(Choice("openvino", 4, "GPU.7", 0.0, {}))
    monkeypatch.setattr(load, "graphics_card", lambda: None)
    network = load_network(*base, None, folder=tmp_path, images=MANY)
    assert len(network(IMAGES)[0]) == len(IMAGES)


def test_a_users_network_is_tested_on_tensorflow_before(tmp_path: Path) -> None:
    """One that mixes the images of a batch is refused by any engine."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3)(inputs)
    for middle, name in ((x, "plain"), (x - keras.ops.mean(x, axis=0, keepdims=True), "mixing")):
        keras.Model(inputs, keras.layers.Conv2D(6, 3)(middle)).save(path := tmp_path / f"{name}.keras")
        source, spec = resolved(tmp_path, str(path), preprocess="raw")
        for engine in ("auto", "openvino"):
            if name == "mixing":
                with pytest.raises(BaseUnavailable, match="other images of its batch change it"):
                    load_network(source, [spec], None, engine=engine, folder=tmp_path / "c", images=MANY)
            else:
                network = load_network(source, [spec], None, engine=engine, folder=tmp_path / "c", images=MANY)
                assert of(network) == "openvino"


@pytest.mark.parametrize("ci", ["", "false", None])
def test_openvino_sends_no_reports(ci: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does so by default; the variable that stops it has its value again afterwards."""
    from openvino.tools.ovc.telemetry_utils import init_ovc_telemetry

    monkeypatch.delenv("CI", raising=False)
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    with openvino_loader.unreported():
        assert not getattr(init_ovc_telemetry("another" if ci else "OpenVINO"), "consent", False)
    assert os.environ.get("CI") == ci
