"""The example `two_characters.py`: its drawings, its sentences, and all of its steps on few images."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from featstore.datasets.manifest import Manifest, Picture
from featstore.system.files import FileStat
from helpers.paths import ROOT


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """Return the example as a module; it is in a folder next to the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "examples")
        yield importlib.import_module("two_characters")


@pytest.fixture(scope="module")
def characters(example: ModuleType) -> ModuleType:
    return sys.modules["characters"]


def test_a_drawing_is_the_same_each_time(characters: ModuleType) -> None:
    """A number always gives the same drawing, and two numbers or characters never do."""
    drawn = [characters.draw_character(kind, number) for kind in characters.KINDS for number in range(4)]
    assert {image.size for image in drawn} == {(128, 128)}
    assert len({image.tobytes() for image in drawn}) == 8
    assert characters.draw_character("yellow", 3).tobytes() == drawn[-1].tobytes()


def test_some_drawings_are_grey(characters: ModuleType) -> None:
    """Their share is as requested, and a grey drawing differs from the coloured one by its colour only."""
    drawn = [np.asarray(characters.draw_character("teal", number, 0.5)) for number in range(30)]
    assert 5 <= sum(np.ptp(pixels, axis=2).max() == 0 for pixels in drawn) <= 25
    colour, grey = (characters.draw_character("teal", 0, share) for share in (0.0, 1.0))
    assert np.ptp(np.asarray(colour), axis=2).max() > 0
    assert grey.tobytes() == colour.convert("L").convert("RGB").tobytes()


def test_the_folders_hold_both_characters(characters: ModuleType, tmp_path: Path) -> None:
    """Three splits and eight more images have both in equal numbers; a second call changes nothing."""
    characters.write_drawings(tmp_path, 12)
    files = sorted(tmp_path.rglob("*.png"))
    counts = {
        split: [len(list((tmp_path / split / kind).iterdir())) for kind in characters.KINDS]
        for split in characters.FIRST
    }
    assert counts == {"train": [6, 6], "val": [2, 2], "test": [2, 2], "unseen": [4, 4]}
    assert len({file.read_bytes() for file in files}) == 28
    times = [file.stat().st_mtime_ns for file in files]
    characters.write_drawings(tmp_path, 12)
    assert [file.stat().st_mtime_ns for file in files] == times


@pytest.mark.parametrize(
    ("colour", "grey", "changed", "verdict"),
    [
        (0.9, 0.88, 0, "relies mainly on the twin tails"),
        (0.9, 0.7, 0, "relies on the colour and the twin tails"),
        (0.9, 0.45, 4, "relies mainly on the colour"),
        (0.55, 0.52, 0, "nothing can be said"),
    ],
)
def test_the_sentence_about_colour_follows_from_the_predictions(
    example: ModuleType, colour: float, grey: float, changed: int, verdict: str
) -> None:
    """The sentence depends on the share of the lead over chance that is left in greyscale."""
    right = [0, 1, 0, 1]
    before, after = (np.array([[p, 1 - p], [1 - p, p]] * 2) for p in (colour, grey))
    text = example.describe_effect_of_colour(before, after, right, "the twin tails")
    assert text.startswith(f"Without colour {changed} of 4 predictions change")
    assert f"{grey:.2f} instead of {colour:.2f}" in text
    assert verdict in text


def test_the_eight_are_held_out(example: ModuleType) -> None:
    """They are from the test split, or validation if there is none; classes alternate while both have images."""

    def manifest(split: str) -> Manifest:
        stat = FileStat(1, 1, 1, 1)
        given = [("train", "a", 9), ("train", "b", 9), (split, "a", 9), (split, "b", 3)]
        return Manifest("", tuple(Picture(f"{s}/{c}/{i}", stat, c, s) for s, c, n in given for i in range(n)))

    for split in ("test", "val"):
        eight = example.choose_eight(manifest(split))
        assert [label for _, label in eight] == list("abababaa")
        assert all(path.startswith(f"{split}/{label}/") for path, label in eight)
        assert len(set(eight)) == 8


def test_all_steps(example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All steps are printed, the files that they name exist, and the figures are those of the tables."""
    folder = tmp_path / "steps"
    example.run_steps(example.parse(["--folder", str(folder), "--drawings", "24", "--size", "32", "--epochs", "3"]))
    printed = capsys.readouterr().out
    assert re.findall(r"^(\d)\. ", printed, re.MULTILINE) == list("12345678")
    assert "\n40 images, 40 of them computed now" in printed
    predictions = re.findall(r"^(\S+\.png) +(teal|yellow) +(0\.\d+|1\.000) ", printed, re.MULTILINE)
    assert len(predictions) == 16
    assert all(Path(file).is_file() for file, _, _ in predictions)
    changed = sum(colour[1] != grey[1] for colour, grey in zip(predictions[:8], predictions[8:], strict=True))
    assert f"Without colour {changed} of 8 predictions change" in printed
    [curve] = re.findall(r"best after epoch \d of \d: (.*)", printed)
    assert Path(curve).is_file()
    for file, mode in [(folder / "eight.png", "RGB"), *((Path(file), "L") for file, _, _ in predictions[8:])]:
        with Image.open(file) as image:
            assert image.mode == mode
