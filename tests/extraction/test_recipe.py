"""Recipes: the options of a user, and the key that they resolve to without loading a network."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featstore.bases.source import BaseSource
from featstore.datasets.digests import DigestMemory
from featstore.errors import UsageError
from featstore.extraction import resolve as resolve_module
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe
from featstore.system.files import FileStat
from featstore.system.private_copy import FileDigest
from featstore.system.stamps import LOCAL_NS
from helpers.keras_files import CONV, INPUT, model, write

LATER = 10**19  # ns since the epoch, so that no file counts as changed just now
Remember = Callable[[], DigestMemory]


@pytest.fixture
def remember(tmp_path: Path) -> Remember:
    """Open the memory of a cache again, as another run does."""
    return lambda: DigestMemory(tmp_path / "digests", lambda: LATER)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[BaseSource]:
    """The sources whose weights were read; each read gives another digest."""
    seen: list[BaseSource] = []

    def compute(source: BaseSource, height: int, width: int, state: FileStat | None) -> FileDigest:
        seen.append(source)
        return FileDigest(f"{len(seen):064x}", state or FileStat(0, 0, 0, 0), LOCAL_NS)

    monkeypatch.setattr(resolve_module, "_compute_weights_digest", compute)
    return seen


def resolve_and_keep(recipe: Recipe, memory: DigestMemory) -> str:
    key = resolve_recipe(recipe, memory).key
    memory.save()
    return key


def test_weights_are_read_once(remember: Remember, computed: list[BaseSource]) -> None:
    """A later run knows the key from the state of the weights file."""
    first = resolve_and_keep(Recipe(model="tiny"), remember())
    assert resolve_and_keep(Recipe(model="tiny", preprocess="tf"), remember()) == first
    assert len(computed) == 1


def test_random_weights_are_drawn_once(remember: Remember, computed: list[BaseSource]) -> None:
    """Their digest is remembered by base and seed, in any working folder."""
    keys = {resolve_and_keep(Recipe(model="VGG16", weights="random", weights_seed=s), remember()) for s in (0, 1, 0)}
    assert len(keys) == len(computed) == 2


def test_another_file_under_the_same_name_is_another_key(
    remember: Remember, computed: list[BaseSource], tmp_path: Path
) -> None:
    """A replaced weights file is noticed even if size and mtime are the same."""
    file = tmp_path / "w.h5"
    file.write_bytes(b"one")
    recipe = Recipe(model="VGG16", weights=str(file))
    first = resolve_and_keep(recipe, remember())
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert resolve_and_keep(recipe, remember()) != first
    assert len(computed) == 2


def test_one_file_in_two_networks_has_two_digests(
    remember: Remember, computed: list[BaseSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EfficientNet's published file loads in one way for `imagenet` and in another by its path."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    file = tmp_path / "models" / "efficientnetb0_notop.h5"
    file.parent.mkdir()
    file.write_bytes(b"x")
    for weights in (None, str(file)):
        resolve_and_keep(Recipe(model="EfficientNetB0", weights=weights), remember())
    assert [source.weights for source in computed] == ["imagenet", str(file)]


def test_a_user_file_is_known_by_its_bytes(remember: Remember, tmp_path: Path) -> None:
    """A copy under another name has the same key, a file with other bytes another."""
    first = write(tmp_path / "a.keras", model(INPUT, CONV))
    (tmp_path / "b.keras").write_bytes(first.read_bytes())
    other = write(tmp_path / "c.keras", model(INPUT, CONV, CONV))
    keys = [
        resolve_recipe(Recipe(model=str(p), preprocess="raw"), remember()).key
        for p in (first, tmp_path / "b.keras", other)
    ]
    assert keys[0] == keys[1] != keys[2]


def test_a_user_file_does_not_say_how_it_was_trained(remember: Remember, tmp_path: Path) -> None:
    """`keras` has no meaning there, and the message lists the choices."""
    file = write(tmp_path / "a.keras", model(INPUT, CONV))
    with pytest.raises(UsageError, match="choose one of caffe, torch, tf"):
        resolve_recipe(Recipe(model=str(file)), remember())


@pytest.mark.parametrize(
    "size, expected", [(None, (32, 32)), (48, (48, 48)), ("48", (48, 48)), ("40x64", (40, 64)), ("40X64", (40, 64))]
)
def test_sizes(remember: Remember, size: str | int | None, expected: tuple[int, int]) -> None:
    """One side or height x width, as a number or as text; the default is that of the base."""
    reading = resolve_recipe(Recipe(model="tiny", size=size), remember()).reading
    assert (reading.height, reading.width) == expected


@pytest.mark.parametrize("size", [0, "0", "", "x", "48x", "1x2x3", "-48", "48.0", "31", "32x31", "9999", "٤٨"])
def test_sizes_that_cannot_be_are_refused(remember: Remember, size: str | int) -> None:
    """No size is guessed."""
    with pytest.raises(UsageError):
        resolve_recipe(Recipe(model="tiny", size=size), remember())


def test_equal_features_have_one_key(remember: Remember) -> None:
    """A name, another name of the same map, numbers, or explicit defaults give the same key."""
    ways = [
        Recipe(model="tiny"),
        Recipe(model="tiny", preprocess="tf"),
        Recipe(model="tiny", preprocess="scale=1/127.5,mean=1"),
        Recipe(model="tiny", size=32, weights_seed=5),
        Recipe(model="tiny", size="32x32", layer="last", pool="avg", dtype="float16", fit="squash"),
    ]
    assert len({resolve_recipe(way, remember()).key for way in ways}) == 1


def test_a_recipe_survives_as_json() -> None:
    """The recipe made from its description is equal to it."""
    recipe = Recipe(model="MobileNet", alpha=0.5, weights="random", weights_seed=3, size=96, pool="max")
    assert Recipe(**recipe.describe()) == recipe


def test_a_recipe_can_leave_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that it names gets its absolute path; other words stay as they are."""
    monkeypatch.chdir(tmp_path)
    assert Recipe(model="b.keras").at_absolute_paths().model == str(tmp_path / "b.keras")
    assert Recipe(model="VGG16", weights="w.h5").at_absolute_paths().weights == str(tmp_path / "w.h5")
    for weights in (None, "imagenet", "random"):
        recipe = Recipe(model="VGG16", weights=weights)
        assert recipe.at_absolute_paths() == recipe


def test_moved_weights_take_the_place_of_the_old_path() -> None:
    """A user's file is base and weights in one, so it is the model that moves."""
    assert Recipe(model="VGG16", weights="old.h5").with_weights("new.h5").weights == "new.h5"
    moved = Recipe(model="old.keras").with_weights("new.keras")
    assert (moved.model, moved.weights) == ("new.keras", None)


@pytest.mark.parametrize(
    ("words", "settled"),
    [
        ({"model": "mobilenet"}, {"model": "MobileNet"}),
        ({"model": "efficientnet-v2 s"}, {"model": "EfficientNetV2S"}),
        ({"model": "MobileNetV1"}, {"model": "MobileNet"}),
        ({"model": "TINY", "weights": "Random"}, {"model": "tiny", "weights": "random"}),
        ({"model": "tiny", "weights": "default"}, {"model": "tiny"}),
        ({"model": "tiny", "preprocess": "preprocess_input"}, {"model": "tiny"}),
        ({"model": "tiny", "preprocess": "RGB_mean"}, {"model": "tiny", "preprocess": "rgb-mean"}),
        ({"model": "tiny", "preprocess": "Order=BGR, scale=1"}, {"model": "tiny", "preprocess": "order=bgr,scale=1"}),
        ({"model": "tiny", "fit": "Center_Crop"}, {"model": "tiny", "fit": "crop"}),
        ({"model": "tiny", "interpolation": "lanczos3"}, {"model": "tiny", "interpolation": "lanczos"}),
        ({"model": "tiny", "reading": "Keras Compat"}, {"model": "tiny", "reading": "keras-compat"}),
        ({"model": "tiny", "pool": "Average"}, {"model": "tiny", "pool": "avg"}),
        ({"model": "tiny", "pool": "global_average_pooling_2d"}, {"model": "tiny", "pool": "avg"}),
        ({"model": "tiny", "pool": "Flatten"}, {"model": "tiny", "pool": "none"}),
        ({"model": "tiny", "views": 10}, {"model": "tiny", "views": "ten"}),
        ({"model": "tiny", "dtype": "fp32"}, {"model": "tiny", "dtype": "float32"}),
        ({"model": "tiny", "views": "10-crop"}, {"model": "tiny", "views": "ten"}),
        ({"model": "tiny", "views": "Augment:4"}, {"model": "tiny", "views": "augment:4"}),
        ({"model": "tiny", "size": "64 px"}, {"model": "tiny", "size": "64"}),
        ({"model": "tiny", "size": "64,48"}, {"model": "tiny", "size": "64x48"}),
        ({"model": "tiny", "size": "(64 × 48)"}, {"model": "tiny", "size": "64x48"}),
        ({"model": "tiny", "size": (64, 48)}, {"model": "tiny", "size": "64x48"}),
        ({"model": "tiny", "resize": "none", "scales": "none"}, {"model": "tiny"}),
        ({"model": "tiny", "scales": "48, 64"}, {"model": "tiny", "scales": "48,64"}),
    ],
)
def test_one_thing_has_one_name(words: Any, settled: Any) -> None:
    """So it is one recipe, one row of a table and one key, however a user writes it."""
    assert Recipe(**words) == Recipe(**settled)


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("keras", ["Keras", "preprocess-input", "default"]),
        ("raw", ["none", "None", "0-255", "[0, 255]", "identity"]),
        ("rescale", ["0-1", "0..1", "[0,1]", "0 to 1", "1/255", "1./255", "/255", "Rescaling"]),
        ("tf", ["-1..1", "[-1, 1]", "-1 to 1", "(-1,1)", "tensorflow"]),
        ("torch", ["pytorch", "torchvision", "Torch"]),
        ("rgb-mean", ["rgbmean", "RGB mean"]),
    ],
)
def test_variants_by_the_words_of_posts(variant: str, words: list[str]) -> None:
    """Only where a word has one meaning."""
    assert {Recipe(model="tiny", preprocess=word).preprocess for word in words} == {variant}


def test_none_of_python_is_no_preprocessing() -> None:
    """It may be meant as `raw` or as the default, so it is not guessed."""
    with pytest.raises(UsageError, match="`preprocess`: expected a name such as keras, or raw for .* found None"):
        Recipe(model="tiny", preprocess=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["imagenet", "ImageNet mean", "mean", "normalize", "BGR", "1/127.5"])
def test_a_word_with_two_meanings_is_not_guessed(word: str) -> None:
    """The message says what it may mean, in our words."""
    with pytest.raises(UsageError, match=r"may mean torch .*, caffe .*, rgb-mean .* or tf"):
        resolve_recipe(Recipe(model="pixels", preprocess=word), DigestMemory(Path()))
