"""Explanations are shown to be sane: they find a planted cue, they predict what removing it does, and they depend on
what was learnt (Adebayo and others 2018)."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from featstore import LeakWarning, explain, predict, train_head
from featstore.explanation.explained import Explained
from featstore.runs.run import Run

SIDE, CUE, CELLS = 64, 20, 16  # px of an image and of its cue, and cells of the map along each side


class Cued(NamedTuple):
    """Runs, and test images of the class `rings`, each with the box of its ring: (left, top) in px."""

    folder: Path
    run: Run
    images: list[Path]
    boxes: list[tuple[int, int]]


def draw(kind: str, number: int) -> tuple[Image.Image, tuple[int, int]]:
    """A picture of smooth noise in any two colours with a ring or a bar somewhere, and the place of that."""
    rng = np.random.default_rng([number, kind == "rings"])
    left, top = rng.integers(2, SIDE - CUE - 2, 2).tolist()
    colours = rng.integers(0, 256, (2, 3))
    coarse = Image.fromarray((rng.random((5, 5)) * 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    share = np.asarray(coarse)[..., None] / 255
    pixels = colours[0] * share + colours[1] * (1 - share)
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(y - top - CUE / 2, x - left - CUE / 2)
    bars = (abs(x - left - CUE / 2) < CUE / 2) & (abs(y - top - CUE / 2) < 3)
    mask = abs(distance - CUE / 2 + 3) < 2.5 if kind == "rings" else bars
    pixels[mask] = 255 - pixels[mask].mean(axis=0)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), (left, top)


def train_on(folder: Path, weights: str | None = None) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)  # a ring may look like another one that is turned
        places = {"cache": folder / "cache", "runs": folder / "runs"}
        return train_head(folder / "data", model="tiny", weights=weights, size=SIDE, **places)


@pytest.fixture(scope="module")
def cued(tmp_path_factory: pytest.TempPathFactory) -> Cued:
    folder = tmp_path_factory.mktemp("cued")
    images, boxes = [], []
    for split, numbers in (("train", range(40)), ("val", range(60, 68)), ("test", range(80, 96))):
        for kind in ("bars", "rings"):
            (folder / "data" / split / kind).mkdir(parents=True)
            for number in numbers:
                image, box = draw(kind, number)
                path = folder / "data" / split / kind / f"{number}.png"
                image.save(path)
                if (split, kind) == ("test", "rings"):
                    images.append(path)
                    boxes.append(box)
    run = train_on(folder)
    assert run.metrics["test"].accuracy > 0.8
    return Cued(folder, run, images, boxes)


@pytest.fixture(scope="module")
def rings(cued: Cued) -> Explained:
    return explain(cued.run, cued.images, label="rings")


def inside(box: tuple[int, int]) -> NDArray[np.bool_]:
    """Which cells lie in the box of the cue."""
    left, top = box
    middles = (np.arange(CELLS) + 0.5) * SIDE / CELLS
    return ((middles > top) & (middles < top + CUE))[:, None] & ((middles > left) & (middles < left + CUE))


def test_the_heat_lies_on_the_planted_cue(cued: Cued, rings: Explained) -> None:
    """The share of what speaks for the class in the box of the cue, against the share of the box in the image."""
    shares = []
    for one, box in zip(rings.explanations, cued.boxes, strict=True):
        heat = one.heat.clip(0)
        shares.append(heat[inside(box)].sum() / heat.sum() / inside(box).mean())
    assert np.median(shares) > 2, shares


def test_removing_the_hottest_fifth_costs_more_than_removing_any_fifth(cued: Cued, rings: Explained) -> None:
    """The pixels are removed, not the cells of the map; and what is lost is measured by the whole pipeline."""
    rng = np.random.default_rng(0)
    heats = {"hottest": [one.heat for one in rings.explanations]}
    heats["random"] = [rng.random((CELLS, CELLS)) for _ in cued.images]
    whole = of_rings(cued, cued.images)
    fall = {name: whole - of_rings(cued, without_hottest(cued, heat, name)) for name, heat in heats.items()}
    difference = fall["hottest"] - fall["random"]
    assert difference.mean() > 2 * difference.std(ddof=1) / len(difference) ** 0.5, fall


def of_rings(cued: Cued, paths: list[Path]) -> NDArray[np.float64]:
    place = cued.run.classes.index("rings")
    return np.array([image.probabilities[place] for image in predict(cued.run, paths).images])


def without_hottest(cued: Cued, heats: list[NDArray[np.floating]], name: str) -> list[Path]:
    """The images with the mean colour of the rest in the hottest fifth of the cells."""
    folder = cued.folder / name
    folder.mkdir()
    paths = []
    for path, heat in zip(cued.images, heats, strict=True):
        with Image.open(path) as image:
            pixels = np.asarray(image).astype(float)
        mask = (heat >= np.quantile(heat, 0.8)).repeat(SIDE // CELLS, 0).repeat(SIDE // CELLS, 1)
        pixels[mask] = pixels[~mask].mean(axis=0)
        paths.append(folder / path.name)
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return paths


def correlation(one: Explained, other: Explained) -> float:
    pairs = zip(one.explanations, other.explanations, strict=True)
    return float(np.mean([spearmanr(a.heat.ravel(), b.heat.ravel())[0] for a, b in pairs]))


def test_the_map_is_another_one_if_the_head_has_other_weights(cued: Cued, rings: Explained) -> None:
    """A map that stays is one of the edges in the image, and says nothing about the answer. The sign is chance."""
    other, rng, found = replace(cued.run), np.random.default_rng(0), []
    head = other.load_head()
    kept = head.as_linear()  # type: ignore[attr-defined]
    for _ in range(8):
        head._fitted = replace(kept, coefficients=rng.permuted(kept.coefficients, axis=1))  # type: ignore[attr-defined]
        found.append(correlation(rings, explain(other, cued.images, label="rings")))
    assert abs(np.mean(found)) < 0.4, found


def test_the_map_is_another_one_if_the_base_has_other_weights(cued: Cued, rings: Explained) -> None:
    """The head is trained again, on features of a base that has learnt nothing."""
    untrained = train_on(cued.folder, weights="random")
    assert abs(correlation(rings, explain(untrained, cued.images, label="rings"))) < 0.4
