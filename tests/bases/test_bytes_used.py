"""The digest in a key is that of the weights that computed its rows, whatever happens to their file meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from featstore.bases import build
from featstore.bases.held import release_bases
from featstore.bases.source import parse_source
from featstore.datasets.digests import DigestMemory
from featstore.errors import BaseUnavailable
from featstore.extraction import resolve
from featstore.extraction.encoder import make_encoder
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe
from featstore.system import private_copy
from featstore.system.files import FileStat
from featstore.system.private_copy import FileDigest
from helpers.networks import save_weights

pytestmark = pytest.mark.tf

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def nothing_is_held() -> None:
    release_bases()


def save_keras(folder: Path, seed: int) -> Path:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((32, 32, 3))
    path = folder / f"{seed}.keras"
    keras.Model(inputs, keras.layers.Conv2D(6, 3)(inputs)).save(path)
    return path


def save_h5(folder: Path, seed: int) -> Path:
    return save_weights(build.load_base(parse_source("tiny", "random", None, seed), 32, 32), folder / str(seed))


KINDS: dict[str, tuple[Callable[[Path, int], Path], Callable[[Path], Recipe]]] = {
    ".keras": (save_keras, lambda path: Recipe(model=str(path), preprocess="raw")),
    ".weights.h5": (save_h5, lambda path: Recipe(model="tiny", weights=str(path))),
}


@pytest.fixture(params=KINDS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, Path, Recipe]:
    """Two files of weights, a link to the first, and the recipe that names the link."""
    save, recipe = KINDS[request.param]
    one, two = save(tmp_path, 1), save(tmp_path, 2)
    link = tmp_path / f"link{request.param}"
    link.symlink_to(one)
    return one, two, link, recipe(link)


def turn(link: Path, target: Path) -> None:
    new = link.with_name("new")
    new.symlink_to(target)
    new.rename(link)


def rows_of(path: Path, recipe: Recipe, memory: DigestMemory) -> tuple[str, np.ndarray]:
    """The digest and the features of a file that nobody touches."""
    spec = resolve_recipe(recipe.with_weights(str(path)), memory)
    return spec.weights, make_encoder(recipe.with_weights(str(path)).source(), spec)(IMAGES)


def test_a_link_that_is_turned_while_the_weights_load(
    files: tuple[Path, Path, Path, Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And turned back afterwards: the rows are of the weights in the key, in this run and in the next one."""
    one, two, link, recipe = files
    expected = rows_of(one, recipe, DigestMemory(tmp_path / "other"))
    release_bases()

    def turning(load: Callable[..., Any]) -> Callable[..., Any]:
        def turned(*arguments: Any, **options: Any) -> Any:
            turn(link, two)
            try:
                return load(*arguments, **options)
            finally:
                turn(link, one)

        return turned

    monkeypatch.setattr(keras.saving, "load_model", turning(keras.saving.load_model))
    monkeypatch.setattr(keras.Model, "load_weights", turning(keras.Model.load_weights))
    memory = DigestMemory(tmp_path / "digests", clock=lambda: 10**19)
    for _ in range(2):
        spec = resolve_recipe(recipe, memory)
        found = make_encoder(recipe.source(), spec)(IMAGES)
        assert spec.weights == expected[0]
        assert np.array_equal(found, expected[1])
        release_bases()


def test_a_link_that_is_turned_between_key_and_rows(files: tuple[Path, Path, Path, Recipe], tmp_path: Path) -> None:
    """One line says so, and the same once more computes the rows of the new weights under their own key."""
    _, two, link, recipe = files
    memory = DigestMemory(tmp_path / "digests")
    encode = make_encoder(recipe.source(), resolve_recipe(recipe, memory))
    turn(link, two)
    with pytest.raises(
        BaseUnavailable, match="if the file was changed meanwhile, run the same command again"
    ) as caught:
        encode(IMAGES)
    assert "\n" not in str(caught.value)
    spec = resolve_recipe(recipe, memory)
    digest, rows = rows_of(two, recipe, memory)
    assert spec.weights == digest
    assert np.array_equal(make_encoder(recipe.source(), spec)(IMAGES), rows)


def test_weights_that_change_without_a_stamp_are_loaded_again(
    files: tuple[Path, Path, Path, Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although a base is held for that state of the file, in the process that has it."""
    one, two, link, recipe = files
    state = FileStat(1, 2, 3, 4)
    for name in ("extraction.resolve.weights_state", "extraction.encoder.weights_state"):
        monkeypatch.setattr(f"featstore.{name}", lambda *source: state)
    monkeypatch.setattr(private_copy, "hash_file", without_stamps := unstamped(state))
    monkeypatch.setattr(build, "hash_file", without_stamps)
    monkeypatch.setattr(resolve, "hash_file", without_stamps)
    memory = DigestMemory(tmp_path / "digests", clock=lambda: 10**19)
    found = []
    for target in (one, two):
        turn(link, target)
        spec = resolve_recipe(recipe, memory)
        with suppress(BaseUnavailable):  # where the digest is of the file, the base that is held is compared with it
            make_encoder(recipe.source(), spec)(IMAGES)
        found.append((spec.weights, make_encoder(recipe.source(), spec)(IMAGES)))
    assert found[0][0] != found[1][0]
    assert not np.array_equal(found[0][1], found[1][1])


def unstamped(state: FileStat) -> Callable[..., FileDigest]:
    """`hash_file` where files have the same stamps for ever."""
    real = private_copy.hash_file
    return lambda *arguments: real(*arguments)._replace(state=state, grain=None)


def test_no_digest_is_remembered_of_weights_that_change_without_a_stamp(
    files: tuple[Path, Path, Path, Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on tmpfs through a memory map."""
    recipe = files[-1]
    monkeypatch.setattr("featstore.system.private_copy.settle", lambda descriptor: None)
    memory = DigestMemory(tmp_path / "digests", clock=lambda: 10**19)
    resolve_recipe(recipe, memory)
    memory.save()
    assert not (tmp_path / "digests").exists()


def test_the_digest_of_a_keras_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    """As docs/format.md says."""
    path = save_keras(tmp_path, 1)
    spec = resolve_recipe(Recipe(model=str(path), preprocess="raw"), DigestMemory(tmp_path))
    assert spec.weights == hashlib.sha256(path.read_bytes()).hexdigest()
