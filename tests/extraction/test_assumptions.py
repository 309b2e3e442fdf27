"""What is assumed of a user's own weights is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from featstore.bases.catalog import BASES, is_published, weights_file_name
from featstore.comparison.job import measure_grid
from featstore.extraction import pipeline
from featstore.extraction.assumptions import describe_assumptions
from featstore.extraction.recipe import Recipe
from featstore.images.preprocessing import parse_variant
from featstore.system.progress import Silent
from featstore.training.job import train
from helpers.keras_files import CONV, INPUT, model, write


def test_the_convention_of_a_base_is_assumed_of_own_weights_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each file, and not where the user has chosen, nor of a file that is not there."""
    monkeypatch.chdir(tmp_path)
    assert describe_assumptions([Recipe(model="VGG16", weights="mine.h5")]) == []
    Path("mine.h5").touch()
    recipes = [Recipe(model="VGG16", weights="mine.h5", size=size) for size in (64, 96)]
    (line,) = describe_assumptions([*recipes, Recipe(model="VGG16", weights="mine.h5", preprocess="raw")])
    assert line.startswith("mine.h5: preprocess='keras' is caffe here as for the published weights of VGG16")
    (line,) = describe_assumptions([Recipe(model="EfficientNetB0", weights="mine.h5")])
    assert "is raw here, and the network scales pixels itself, as for the published weights" in line


@pytest.mark.parametrize("name", BASES)
def test_published_files_are_known_by_their_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any width, with the classifier and without it; nothing is told of them."""
    monkeypatch.chdir(tmp_path)
    info, alpha = BASES[name], 0.75 if BASES[name].takes_alpha else None
    for top in (True, False):
        file = weights_file_name(info, alpha or 1.0, 224, 224, top)
        assert is_published(info, file)
        assert not is_published(info, f"my_{file}")
        Path(file).touch()
        assert describe_assumptions([Recipe(model=name, weights=file, alpha=alpha)]) == []


def test_a_network_that_scales_by_itself_is_told(tmp_path: Path) -> None:
    """Where the pixels are scaled before it as well: twice is the most common mistake with one's own network."""
    rescaling = {"module": "keras.layers", "class_name": "Rescaling", "config": {"name": "to_one"}}
    path = str(write(tmp_path / "mine.keras", model(INPUT, rescaling, CONV)))
    (line,) = describe_assumptions([Recipe(model=path, preprocess="rescale")])
    assert "layer 'to_one' in it scales pixels already" in line
    assert describe_assumptions([Recipe(model=path, preprocess="raw")]) == []
    plain = str(write(tmp_path / "plain.keras", model(INPUT, CONV)))
    assert describe_assumptions([Recipe(model=plain, preprocess="rescale")]) == []


class Listener(Silent):
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)


class Stopped(Exception):
    """The job would go on to compute."""


@pytest.mark.parametrize(
    "job, next_step",
    [
        (pipeline.extract_all, "featstore.extraction.pipeline.extract_features"),
        (train, "featstore.training.job.prepare"),
        (measure_grid, "featstore.comparison.job.prepare"),
    ],
)
def test_every_job_tells_it_first(
    job: Callable[..., object], next_step: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the minutes of work, and once for a grid of several sizes."""

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    monkeypatch.setattr(next_step, stop)
    monkeypatch.chdir(tmp_path)
    Path("mine.h5").touch()
    recipes = [Recipe(model="VGG16", weights="mine.h5", size=size) for size in (64, 96)]
    progress = Listener()
    with pytest.raises(Stopped):
        job(str(photos), recipes[:1] if job is train else recipes, progress=progress)
    assert sum("mine.h5: preprocess='keras' is caffe here" in line for line in progress.told) == 1


def test_bases_without_a_file_are_not_told() -> None:
    """Published and random weights, the base that is shipped, and pixels."""
    recipes = [Recipe(model="VGG16"), Recipe(model="VGG16", weights="random"), Recipe(model="tiny")]
    assert describe_assumptions([*recipes, Recipe(model="pixels")]) == []


@pytest.mark.parametrize(
    "name, trained_on, written",
    [
        ("MobileNetV3Small", "tf", "raw"),
        ("MobileNetV3Small", "rescale", "scale=1/2,mean=-127.5"),
        ("MobileNetV3Small", "raw", "scale=127.5,mean=-127.5"),
        ("EfficientNetV2B0", "torch", "raw"),
    ],
)
def test_the_scaling_inside_can_be_undone(name: str, trained_on: str, written: str) -> None:
    """As docs/preprocessing.md has it: the features are those of the network without the scaling."""
    arguments = {"include_top": False, "weights": None, "input_shape": (32, 32, 3), "pooling": "avg"}
    bare = getattr(keras.applications, name)(include_preprocessing=False, **arguments)
    scaling = getattr(keras.applications, name)(**arguments)
    weights = bare.get_weights()
    scaling.set_weights([*scaling.get_weights()[: len(scaling.weights) - len(weights)], *weights])
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    given, undone = (parse_variant(text, None)[1].apply(images) for text in (trained_on, written))
    np.testing.assert_allclose(scaling(undone), bare(given), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "inside, trained_on, written",
    [
        ((1 / 128, -1), "tf", "scale=128/127.5"),
        ((1 / 128, -1), "rescale", "scale=128/255,mean=-128"),
        ((1 / 128, -1), "raw", "scale=128,mean=-128"),
    ],
)
def test_the_map_that_undoes_it_is_exact(inside: tuple[float, float], trained_on: str, written: str) -> None:
    """That of the larger EfficientNetV2, which are too large to build here."""
    pixels = np.arange(256, dtype="float32").reshape(1, 1, 256, 1).repeat(3, axis=3)
    given, undone = (parse_variant(text, None)[1].apply(pixels) for text in (trained_on, written))
    np.testing.assert_allclose(undone * inside[0] + inside[1], given, atol=1e-4)
