"""Which methods a run allows, where its features are not pooled from a map."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore import train_head
from featstore.cli import app
from featstore.explanation.maps import Maps
from featstore.extraction.plan import plan_of_specs
from featstore.extraction.recipe import Recipe
from helpers.cli import call
from helpers.photos import draw, write_photos
from helpers.specs import SPEC


@pytest.mark.parametrize(("model", "pool", "has_maps"), [("tiny", "avg", True), ("ConvNeXtTiny", "avg", False)])
def test_maps_are_those_that_the_features_are_pooled_from(model: str, pool: str, has_maps: bool) -> None:
    """ConvNeXt pools before its last layer: no map of it has the mean that the head sees."""
    found = Maps.of(plan_of_specs(Recipe(model=model, weights="random"), [SPEC]))
    assert (found is not None) == has_maps
    if found is not None:
        assert (found.plan.spec.pool, found.pool) == ("none", pool)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 6)
    draw("discs", 99).save(folder / "new.png")
    (folder / "text.png").write_text("no image")
    train_head(folder / "photos", model="pixels", size=8, name="run", cache=folder / "cache", runs=folder / "runs")
    return folder


@pytest.fixture
def work(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    monkeypatch.setenv("FEATSTORE_CACHE", str(trained / "cache"))
    return trained


def test_the_command_writes_pictures_and_tells_what_they_show(work: Path) -> None:
    """How it was computed, the cells and the colours; what cannot be read is listed, and the rest is explained."""
    done = call("explain", "runs/run", "new.png", "text.png", "--out", "heat/of", "--sheet", "sheet.pdf")
    assert done.code == 0, done.err
    assert done.out.startswith("cam: class activation maps, exact")
    assert "8 x 8 cells; orange speaks for, blue against" in done.out
    assert "text.png" in done.err
    assert [path.name for path in (work / "heat" / "of").iterdir()] == ["1-new.png"]
    assert (work / "sheet.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "expected images to explain, or --wrong 8 for wrong answers in the data of the run"),
        (
            ("new.png", "--method", "magic"),
            "--method magic: expected one of cam, grad-cam, hires-cam, cells, occlusion",
        ),
        (("new.png", "--label", "cubes"), "--label cubes: expected a class of the run: discs, stripes"),
        (("new.png", "--sheet", "heat.gif"), "--sheet heat.gif: expected a name that ends in .png or .pdf"),
        (("new.png", "--method", "grad-cam", "--out", "new.png"), "new.png: cannot be made: File exists"),
    ],
)
@pytest.mark.usefixtures("work")
def test_a_mistake_is_one_line(words: tuple[str, ...], told: str) -> None:
    done = call("explain", "runs/run", *words)
    assert done.code in (1, 2) and done.out == "" and done.err.count("\n") == 1
    assert told in done.err


def test_it_stands_next_to_predict_in_the_help() -> None:
    names = list(app._COMMANDS)
    assert names.index("explain") == names.index("predict") + 1
