"""The drawn cats and dogs of `pets_report.py`, what is planted among them, and the page in the documents about them."""

from __future__ import annotations

import importlib
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from featstore.auditing.findings import CheckName
from featstore.reporting import page
from helpers.paths import ROOT

PAGE = ROOT / "docs" / "example" / "report.html"


@pytest.fixture(scope="module")
def pets() -> Iterator[ModuleType]:
    """The module of the drawings; it is in a folder next to the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "examples")
        yield importlib.import_module("pets")


def test_a_drawing_is_the_same_each_time(pets: ModuleType) -> None:
    """A number always gives the same drawing, and two numbers or kinds never do."""
    drawn = [pets.draw_pet(kind, number) for kind in pets.KINDS for number in range(3)]
    assert len({image.tobytes() for image in drawn}) == 6
    assert pets.draw_pet("dogs", 2).tobytes() == drawn[-1].tobytes()


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, float)


def test_what_goes_wrong_in_real_data_is_planted(pets: ModuleType, tmp_path: Path) -> None:
    """Copies across splits and labels, wrong labels, a damaged file, a dark and a blurred one, and a shortcut."""
    pets.write_pets(tmp_path, 6)
    first = {kind: tmp_path / "train" / kind for kind in pets.KINDS}
    assert (tmp_path / "test/cats/copy.jpg").read_bytes() == (first["cats"] / "cat-000.jpg").read_bytes()
    assert (first["dogs"] / "also-a-cat.jpg").read_bytes() == (first["cats"] / "cat-003.jpg").read_bytes()
    mirrored, dog, dark = (
        pixels(path)
        for path in (tmp_path / "test/dogs/mirrored.jpg", first["dogs"] / "dog-001.jpg", first["dogs"] / "dark.jpg")
    )
    assert np.abs(mirrored[:, ::-1] - dog).mean() < 6
    assert dark.mean() < 30
    with pytest.raises(OSError, match="truncated"):
        pixels(first["dogs"] / "damaged.jpg")
    cats, dogs = (first[kind] / f"{kind[:-1]}-002.jpg" for kind in pets.KINDS)
    assert cats.stat().st_size > 1.3 * dogs.stat().st_size


def test_the_report_is_that_of_the_command_line(
    pets: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program draws, and runs what a reader would type."""
    asked: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: asked.append(command))
    monkeypatch.setattr(sys, "argv", ["pets_report.py", "--train", "6"])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples/pets_report.py"), run_name="__main__")
    assert asked == [[sys.executable, "-m", "featstore", "report", "pets", "--model", "tiny"]]
    assert (tmp_path / "pets/test/cats/copy.jpg").is_file()


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """What the page in the documents carries of its figures."""
    [found] = re.findall(r'<script type="application/json" id="page-figures">(.*?)</script>', PAGE.read_text())
    return json.loads(found)


def test_the_page_in_the_documents_is_up_to_date(figures: dict[str, Any]) -> None:
    """It has the sections and the checks of today; else run `python scripts/example_report.py`."""
    text = PAGE.read_text()
    assert re.findall(r'<section id="(\w+)"', text) == [name for name, _ in page._SECTIONS]
    assert {check["name"] for check in figures["audit"]["checks"]} <= set(get_args(CheckName))
    assert len(text) < 1_500_000
    assert not re.search(r"/(tmp|root|work)/", text)


def test_the_page_tells_what_was_planted(figures: dict[str, Any]) -> None:
    """All of it, and no other leak or conflict; the labels that are wrong come first."""
    checks = {check["name"]: check for check in figures["audit"]["checks"]}
    found = {name: [Path(finding["paths"][0]).name for finding in check["findings"]] for name, check in checks.items()}
    assert sorted(found["leaks"]) == ["copy.jpg", "cropped.jpg", "mirrored.jpg"]
    assert found["conflicts"] == ["cat-003.jpg"]
    assert sorted(found["labels"][:3]) == ["dog-500.jpg", "dog-501.jpg", "dog-502.jpg"]
    assert found["unreadable"] == ["damaged.jpg"]
    assert {"dark.jpg", "blurred.jpg"} <= set(found["problems"])
    assert "JPEG quality" in checks["shortcuts"]["verdict"]
