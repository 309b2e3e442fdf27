"""The survey of a data set, and `featstore scan`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from featstore.errors import DataError
from featstore.extraction.cache import Cache
from featstore.extraction.recipe import Recipe
from featstore.extraction.survey import Size, survey
from featstore.extraction.trial import Trial
from helpers.cli import call
from helpers.photos import draw, write_photos

PIXELS = Recipe(model="pixels", size=8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of 40 PNG images, one larger JPEG, a copy under another label, and half an image."""
    data = write_photos(tmp_path / "photos", 40)
    draw("discs", 99, (100, 200)).save(data / "discs" / "large.jpg")
    shutil.copy(data / "discs" / "000.png", data / "stripes" / "copy.png")
    whole = (data / "discs" / "large.jpg").read_bytes()
    (data / "discs" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    return data


def test_a_survey_says_what_there_is(photos: Path, tmp_path: Path) -> None:
    """Layout, classes, the splits to come, formats, sizes, copies, contradictions, and what cannot be read."""
    found = survey(photos, cache=tmp_path / "cache")
    assert found.data.layout == "class folders"
    assert found.data.line() == "2 classes: discs 41, stripes 41"
    assert found.splits.startswith("to be trained on as: 2 classes: discs 2")
    assert found.formats == {"PNG": 81, "JPEG": 1}
    assert found.sizes == {Size(48, 40): 81, Size(200, 100): 1}
    [copies] = found.copies
    assert [Path(path).name for path in copies] == ["000.png", "copy.png"]
    assert [Path(item.path).name for item in found.manifest.skipped] == ["half.jpg"]
    assert ["more than one label" in note for note in found.data.notes] == [True]
    text = str(found)
    assert "82 images can be read: PNG 81, JPEG 1; 48x40 to 200x100 px (width x height), 81 of them 48x40" in text
    assert "2 files are copies of one another, 1 different image, such as " in text


def test_what_was_decoded_before_is_not_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the memory of digests, which an extraction uses and fills as well."""
    photos = write_photos(tmp_path / "photos", 4)
    time.sleep(2.1)  # younger files are not remembered
    first = survey(photos, cache=tmp_path / "cache")
    monkeypatch.setattr("featstore.extraction.survey.decode_rgb", lambda raw: pytest.fail("decoded again"))
    second = survey(photos, cache=tmp_path / "cache")
    assert (second.formats, second.sizes, second.data) == (first.formats, first.sizes, first.data)
    assert all(Cache(tmp_path / "cache").digests.get(p.path, p.stat) for p in first.manifest.pictures)


def test_a_data_set_that_cannot_be_trained_on_says_why(tmp_path: Path) -> None:
    """As `train-head` would, but with all else that is known."""
    (tmp_path / "cat").mkdir()
    draw("discs", 1).save(tmp_path / "cat" / "1.png")
    found = survey(tmp_path, cache=tmp_path / "cache")
    assert found.splits.startswith("not to be trained on: ")
    assert "only the class 'cat' was found" in found.splits
    (tmp_path / "cat" / "1.png").write_bytes(b"x")
    with pytest.raises(DataError, match="no image can be read; the first: "):
        survey(tmp_path, cache=tmp_path / "cache")


def test_a_forecast_is_made_for_each_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `doctor` makes it; nothing is extracted."""
    monkeypatch.setattr("featstore.extraction.forecast.run_trial", lambda *_: Trial("none", 1.0, 1.0, 4.0, None))
    photos = write_photos(tmp_path / "photos", 4)
    found = survey(photos, [PIXELS, replace(PIXELS, size=9)], cache=tmp_path / "cache")
    assert [made.missing for made in found.forecasts] == [8, 8]
    assert "forecast: pixels keras 9: 8 images to extract: about 2 s" in str(found)


def test_the_command_prints_it_or_json(photos: Path, tmp_path: Path) -> None:
    """And says how to get a forecast; with `--quiet` only notes are left."""
    options = ("--cache", tmp_path / "cache")
    done = call("scan", photos, *options)
    assert done.code == 0
    assert "2 classes: discs 41, stripes 41" in done.out
    assert done.out.splitlines()[-1].startswith("forecast: give --model")
    found = json.loads(call("scan", photos, *options, "--json", "--model", "pixels", "--size", "8").out)
    assert found["data"]["classes"]["discs"] == {"images": 41, "unsplit": 41}
    assert found["forecasts"][0]["missing"] == 82
    assert len(found["copies"]) == len(found["skipped"]) == 1
    done = call("scan", photos, *options, "--quiet")
    assert done.out == ""
    assert "warning: 1 image is there under more than one label" in done.err


def test_options_of_a_forecast_need_a_model(photos: Path) -> None:
    """They would do nothing without it."""
    done = call("scan", photos, "--size", "32")
    assert (done.code, done.err) == (2, "featstore: --size: is for a forecast; give it with --model\n")


def test_it_never_loads_tensorflow(photos: Path, tmp_path: Path) -> None:
    """Not without a model."""
    code = (
        "import sys; from featstore.extraction.survey import survey; survey(sys.argv[1], cache=sys.argv[2]); "
        "assert not {'tensorflow', 'keras', 'sklearn'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code, photos, tmp_path / "cache"], check=True)
