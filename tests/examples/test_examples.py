"""The short examples run, import from `featstore` alone, and stay short."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from helpers.cli import call
from helpers.paths import ROOT
from helpers.photos import write_photos

SHORT = ("python_api", "own_csv", "grid_search", "own_base", "read_cache")


def run(name: str, *arguments: str) -> None:
    """Run an example as a program, in this process."""
    sys.argv = [name, *arguments]
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")


@pytest.fixture(autouse=True)
def _in_a_folder_with_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path / "photos", 12)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])


@pytest.mark.parametrize("name", SHORT)
def test_it_is_short_and_uses_public_names(name: str) -> None:
    """15 to 25 lines that are not empty, docstring included."""
    text = (ROOT / "examples" / f"{name}.py").read_text()
    assert 15 <= len([line for line in text.splitlines() if line.strip()]) <= 25
    assert not re.search(r"from featstore|import featstore\.", text)


def test_python_api(capsys: pytest.CaptureFixture[str]) -> None:
    """Extract, compare, train, fine-tune and predict."""
    run("python_api", "photos")
    out = capsys.readouterr().out
    assert "keras: 24 of 24 rows were computed now" in out
    assert "features (24, 256) float32, 2 classes" in out
    for word in ("best: ", "accuracy before", "probability"):
        assert word in out
    assert Path("answers.png").read_bytes().startswith(b"\x89PNG")


def test_own_csv(capsys: pytest.CaptureFixture[str]) -> None:
    """Accuracy on a split that is made by groups."""
    run("own_csv")
    found = re.search(r"^test +(\d+) in \d+ groups +(\d\.\d+)", capsys.readouterr().out, re.MULTILINE)
    assert found
    assert int(found[1]) % 10 == 0
    assert float(found[2]) > 0.8


def test_grid_search(capsys: pytest.CaptureFixture[str]) -> None:
    """Over a parameter of the features and one of the classifier."""
    run("grid_search", "photos")
    assert re.search(r"accuracy \d\.\d+ with {'bottleneck__preprocess': '(keras|raw)'", capsys.readouterr().out)


def test_own_base(capsys: pytest.CaptureFixture[str]) -> None:
    """A network from a file."""
    run("own_base", "photos")
    assert "test" in capsys.readouterr().out
    assert Path("runs/photos-own-rescale-32-logistic/run.json").exists()


def test_read_cache(capsys: pytest.CaptureFixture[str]) -> None:
    """What was extracted; a damaged shard is named and not opened."""
    assert call("extract", "photos", "--model", "tiny", "--quiet").code == 0
    run("read_cache", "cache")
    assert "tiny, last: 24 rows of (256,), such as " in capsys.readouterr().out
    [shard] = Path("cache").glob("*/*/s-*.h5")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    run("read_cache", "cache")
    assert capsys.readouterr().out == f"{shard} is damaged\n"
