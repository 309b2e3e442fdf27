"""Groups on both sides of a split: given ones are an alarm, suspected ones come with the pattern; numbers are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featstore.auditing.name_patterns import NameGroups, suspect_groups
from featstore.datasets.options import DataOptions
from featstore.datasets.sources import scan
from helpers.audits import audit_photos

FILMS, FRAMES = 20, 10


def features(per_film: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, classes and pictures of films of two classes; frames of a film are alike by so much."""
    rng = np.random.default_rng(seed)
    film = np.repeat(np.arange(FILMS), FRAMES)
    X = per_film * rng.normal(size=(FILMS, 32))[film] + rng.normal(size=(len(film), 32))
    return X.astype(np.float32), film % 2, np.arange(len(film))


def suspect(name: Callable[[int, int], str], per_film: float = 2.0) -> NameGroups | None:
    """Look at the frames of films that are called `name(film, frame)`."""
    return suspect_groups([name(k // FRAMES, k % FRAMES) for k in range(FILMS * FRAMES)], *features(per_film))


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (lambda film, frame: f"train/x/film{film:02d}_frame{frame:03d}.jpg", r"^([^-_ .]+)[-_ .]"),
        (lambda film, frame: f"x/p{film}{'abcdefghij'[frame]}.png", r"^(\D*\d+)\D"),
        (lambda film, frame: f"x/the_film_{'abcdefghijklmnopqrst'[film]}{frame}.png", r"^(.*\D)\d+\D*$"),
        (lambda film, frame: f"film{film}/{frame}.png", r"([^/]+)/[^/]+$"),
        (lambda film, frame: f"train/x/film{film}/{frame}.png", r"([^/]+/[^/]+)/[^/]+$"),
        (lambda film, frame: f"x/{1000 + 10 * film + frame}.png", r"^(.*\d)\d\.[^.]+$"),
    ],
)
def test_names_that_go_with_the_features_are_suspected(name: Callable[[int, int], str], pattern: str) -> None:
    """With a pattern that puts each film into a group of its own."""
    found = suspect(name)
    assert found is not None
    assert found.pattern == pattern
    assert len({*found.groups}) == FILMS
    assert found.agreeing > 0.9
    assert found.chance < 0.1


@pytest.mark.parametrize(
    "name",
    [
        lambda film, frame: f"film{frame}_{film}.jpg",  # the parts of the names mean nothing
        lambda film, frame: f"cat.{(37 * (10 * film + frame)) % 200}.jpg",  # numbered, and shuffled
        lambda film, frame: f"{'cat' if film % 2 else 'dog'}.{film * 7919 + frame * 104729}.jpg",
        lambda film, frame: "same/name.png",
        lambda film, frame: f"x/{film}{frame}.png/",
    ],
)
def test_names_that_mean_nothing_are_not(name: Callable[[int, int], str]) -> None:
    """A class is not a group, and numbers are not either, however alike the frames of a film are."""
    assert suspect(name) is None


def test_films_whose_frames_are_not_alike_are_no_groups() -> None:
    """A name proves nothing by itself."""
    assert suspect(lambda film, frame: f"film{film:02d}_{frame}.jpg", per_film=0.0) is None


def test_kinds_within_a_class_are_no_groups() -> None:
    """The breed in the name of a dog goes with the features, and dogs of one breed may be in several splits."""
    assert suspect(lambda film, frame: f"breed{film:02d}_{frame}.jpg", per_film=0.9) is None


def test_copies_do_not_make_a_group() -> None:
    """`a_1.jpg` and `a_2.jpg` are the same picture: a leak, told elsewhere, and no film."""
    X, y, picture = features(0.0)
    pairs = np.arange(len(y)) // 2
    paths = [f"a{pair}_{k}.jpg" for k, pair in enumerate(pairs)]
    assert suspect_groups(paths, X[pairs], y[pairs], pairs) is None
    assert suspect_groups(paths, X[pairs], y[pairs], picture) is not None


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six films of six frames of each class, strewn over the splits."""
    folder = tmp_path_factory.mktemp("films") / "photos"
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for film in range(6):
            colour = rng.integers(0, 200, 3)
            for frame in range(6):
                split = ("train", "train", "train", "val", "test", "train")[frame]
                (folder / split / label).mkdir(parents=True, exist_ok=True)
                pixels = np.full((24, 24, 3), colour) + rng.integers(0, 12, (24, 24, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / label / f"{label}{film}-{frame}.png")
    return folder


def test_groups_that_the_data_have_are_an_alarm_where_splits_share_them(films: Path) -> None:
    """The user has said that they belong together."""
    check = audit_photos(scan(films, DataOptions(group_by=r"^(\w+)-")), folder=films)["groups"]
    assert check.weight == "alarm"
    assert check.verdict == "12 of 12 groups are in several splits"
    assert "test/a/a0-4.png" in check.findings[0].paths[0]
    assert check.findings[0].text == "a0: 4 in train, 1 in val, 1 in test"


def test_suspected_groups_are_to_be_looked_at_and_mended_by_the_table(films: Path) -> None:
    """The pattern is told as it can be typed, and an audit by it says that all is well once the table is used."""
    audit = audit_photos(films)
    check = audit["groups"]
    assert check.weight == "look"
    assert "what their names begin with: 72 images in 12 groups, of which 12 are in several splits" in check.verdict
    assert check.figures["pattern"] == r"^([^-_ .]+)[-_ .]"
    assert r"group_by='^([^-_ .]+)[-_ .]'" in check.advice
    mended = audit_photos(audit.save_fixed_split(films.parent / "fixed.csv"))["groups"]
    assert (mended.weight, mended.verdict) == ("fine", "each of 12 groups is in one split")
