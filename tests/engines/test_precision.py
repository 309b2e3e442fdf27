"""Lower precision: on the engine that has it, for that network alone, and refused where the machine has none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featstore import extract
from featstore.bases.source import BaseSource
from featstore.datasets.digests import DigestMemory
from featstore.engines import load, precision, trial
from featstore.engines.load import load_network
from featstore.engines.tensorflow import load_tensorflow_network
from featstore.engines.trial import largest_difference, trial_pixels
from featstore.errors import BaseUnavailable
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe
from featstore.spec import FeatureSpec
from featstore.system.gpus import Gpu
from featstore.system.processor import has_bfloat16
from helpers.passes import FakeNetwork

IMAGES = trial_pixels(32, 32)
needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(), reason="the processor has no bfloat16")


@pytest.fixture
def base(tmp_path: Path) -> tuple[BaseSource, FeatureSpec]:
    recipe = Recipe(model="tiny", size=32)
    return recipe.source(), resolve_recipe(recipe, DigestMemory(tmp_path / "digests"))


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A processor that has neither."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    monkeypatch.setattr(precision, "processor_features", frozenset)
    yield


@pytest.mark.parametrize("engine", ["auto", "tensorflow", "openvino"])
@pytest.mark.parametrize("lower", ["bfloat16", "float16"])
def test_it_is_refused_where_the_machine_has_none(
    lower: str, engine: str, base: tuple[BaseSource, FeatureSpec], without: None
) -> None:
    """In one line, before anything is computed."""
    pytest.importorskip("openvino")
    source, spec = base
    with pytest.raises(BaseUnavailable, match=rf"precision='{lower}': cannot be computed.* on this machine: expected"):
        load_network(source, [replace(spec, precision=lower)], None, engine=engine)


@needs_bfloat16
def test_bfloat16_of_tensorflow_is_that_of_one_network(base: tuple[BaseSource, FeatureSpec]) -> None:
    """One in float32 stays exact: called before, between and after, and by another thread meanwhile."""
    source, spec = base
    exact = load_tensorflow_network(source, [spec], None)
    lower = load_tensorflow_network(source, [replace(spec, precision="bfloat16")], None)
    expected = exact(IMAGES)
    found = lower(IMAGES)
    assert 1e-4 < largest_difference(found, expected) < 3e-2
    assert np.array_equal(exact(IMAGES), expected)
    assert np.array_equal(lower(IMAGES), found)
    fresh = [load_tensorflow_network(source, [spec], None, batch) for batch in (8, 16)]
    results = []
    threads = [threading.Thread(target=lambda one=one: results.append(one(IMAGES))) for one in (*fresh, lower, exact)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    differences = sorted(largest_difference(rows, expected) for rows in results)
    assert differences[2] < 1e-6 < 1e-4 < differences[3]


@pytest.mark.parametrize("has_gpu, engine", [(True, "tensorflow"), (False, "openvino")])
def test_float16_is_computed_on_a_gpu_where_there_is_one(
    has_gpu: bool, engine: str, base: tuple[BaseSource, FeatureSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor that has float16 too would be chosen without a look at its speed."""
    monkeypatch.setattr(precision, "list_gpus", lambda: [Gpu(0, "one", "GPU-1")] * has_gpu)
    for module in (load, precision):
        monkeypatch.setattr(module, "tensorflow_computes", lambda lower: has_gpu)
    monkeypatch.setattr(load, "openvino_computes", lambda lower: True)
    monkeypatch.setattr(load, "_load_openvino_network", lambda *arguments: FakeNetwork(engine="openvino"))
    source, spec = base
    assert load_network(source, [replace(spec, precision="float16")], None).engine == engine


@needs_bfloat16
def test_openvino_computes_bfloat16_where_it_is_installed(
    base: tuple[BaseSource, FeatureSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few the images, and whatever is faster: the engines differ, and the rows of a key are of one of them.

    A network in float32 stays exact meanwhile.
    """
    pytest.importorskip("openvino")
    monkeypatch.setattr(trial, "BATCHES", {"CPU": (4,)})
    monkeypatch.setattr(trial, "measure_rate", lambda network, pixels: 1.0)
    monkeypatch.setattr(load, "_held", type(load._held)())
    source, spec = base
    expected = load_tensorflow_network(source, [spec], None)(IMAGES)
    specs = [replace(spec, precision="bfloat16")]
    network = load_network(source, specs, None)
    assert network.engine.startswith("openvino")
    lower = network(IMAGES)
    assert 1e-4 < largest_difference(lower, expected) < 3e-2
    assert largest_difference(lower, load_tensorflow_network(source, specs, None)(IMAGES)) < 3e-2
    assert largest_difference(load_network(source, [spec], None, engine="openvino")(IMAGES), expected) < 1e-5


@needs_bfloat16
def test_rows_of_two_precisions_have_two_keys(photos: Path, tmp_path: Path) -> None:
    """Both are stored, and either is found again."""
    extraction = extract(photos, model="tiny", size=32, precision=["float32", "bfloat16"], cache=tmp_path)
    assert [made.computed for made in extraction.features] == [24, 24]
    assert len({made.spec.key for made in extraction.features}) == 2
