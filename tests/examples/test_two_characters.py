"""The example `two_characters.py`: its drawings, the words that it finds, and the whole story in small."""

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
    """The example as a module; it and its drawings lie beside the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "examples")
        yield importlib.import_module("two_characters")


@pytest.fixture(scope="module")
def characters(example: ModuleType) -> ModuleType:
    return sys.modules["characters"]


def test_a_drawing_is_the_same_each_time(characters: ModuleType) -> None:
    """A number stands for one drawing, and no two numbers or characters for the same."""
    drawn = [characters.draw_character(kind, number) for kind in characters.KINDS for number in range(4)]
    assert {image.size for image in drawn} == {(128, 128)}
    assert len({image.tobytes() for image in drawn}) == 8
    assert characters.draw_character("yellow", 3).tobytes() == drawn[-1].tobytes()


def test_some_drawings_are_grey(characters: ModuleType) -> None:
    """As many as asked for, and a drawing in grey is the one in colour but for that."""
    drawn = [np.asarray(characters.draw_character("teal", number, 0.5)) for number in range(30)]
    assert 5 <= sum(np.ptp(pixels, axis=2).max() == 0 for pixels in drawn) <= 25
    colour, grey = (characters.draw_character("teal", 0, share) for share in (0.0, 1.0))
    assert np.ptp(np.asarray(colour), axis=2).max() > 0
    assert grey.tobytes() == colour.convert("L").convert("RGB").tobytes()


def test_the_folders_hold_both_characters(characters: ModuleType, tmp_path: Path) -> None:
    """Evenly, in three splits and eight more, all of them different; a second call leaves them alone."""
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
    ("probability", "word"),
    [(0.5, "a guess"), (0.6, "leaning"), (0.79, "leaning"), (0.8, "fairly sure"), (0.95, "sure"), (1.0, "sure")],
)
def test_an_answer_has_a_word_for_its_strength(example: ModuleType, probability: float, word: str) -> None:
    """Each limit belongs to the stronger word."""
    assert example.strength(probability) == word


@pytest.mark.parametrize(
    ("colour", "grey", "changed", "verdict"),
    [
        (0.9, 0.88, 0, "it is mostly the twin tails"),
        (0.9, 0.7, 0, "it is both the colour and the twin tails"),
        (0.9, 0.45, 4, "it is mostly the colour"),
        (0.55, 0.52, 0, "this tells nothing"),
    ],
)
def test_the_sentence_about_colour_follows_from_the_answers(
    example: ModuleType, colour: float, grey: float, changed: int, verdict: str
) -> None:
    """By the part of the lead over chance that is left in greyscale."""
    right = [0, 1, 0, 1]
    before, after = (np.array([[p, 1 - p], [1 - p, p]] * 2) for p in (colour, grey))
    text = example.what_counts(before, after, right, "the twin tails")
    assert text.startswith(f"Without colour {changed} of 4 answers change")
    assert f"{grey:.2f} instead of {colour:.2f}" in text
    assert verdict in text


def test_the_eight_are_held_out(example: ModuleType) -> None:
    """From the test split, or from validation where there is none; the classes in turn, however uneven."""

    def manifest(split: str) -> Manifest:
        stat = FileStat(1, 1, 1, 1)
        given = [("train", "a", 9), ("train", "b", 9), (split, "a", 9), (split, "b", 3)]
        return Manifest("", tuple(Picture(f"{s}/{c}/{i}", stat, c, s) for s, c, n in given for i in range(n)))

    for split in ("test", "val"):
        eight = example.choose_eight(manifest(split))
        assert [label for _, label in eight] == list("abababaa")
        assert all(path.startswith(f"{split}/{label}/") for path, label in eight)
        assert len(set(eight)) == 8


def test_the_whole_story(example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All steps are told, the files that they name are there, and the figures are those of the tables."""
    folder = tmp_path / "story"
    example.tell(example.parse(["--folder", str(folder), "--drawings", "24", "--size", "32", "--epochs", "3"]))
    told = capsys.readouterr().out
    assert re.findall(r"^(\d)\. ", told, re.MULTILINE) == list("1234567")
    assert "\n40 images, 40 of them computed now" in told
    answers = re.findall(r"^(\S+\.png) +(teal|yellow) +(0\.\d+|1\.000) ", told, re.MULTILINE)
    assert len(answers) == 16
    assert all(Path(file).is_file() for file, _, _ in answers)
    changed = sum(colour[1] != grey[1] for colour, grey in zip(answers[:8], answers[8:], strict=True))
    assert f"Without colour {changed} of 8 answers change" in told
    [curve] = re.findall(r"best after epoch \d of \d: (.*)", told)
    assert Path(curve).is_file()
    for file, mode in [(folder / "eight.png", "RGB"), *((Path(file), "L") for file, _, _ in answers[8:])]:
        with Image.open(file) as image:
            assert image.mode == mode
