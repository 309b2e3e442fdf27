"""`featstore find-lr`: from a data set to a rate, a plot and JSON; heads without a rate are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import featstore
from featstore.errors import UsageError
from helpers.cli import call
from helpers.photos import write_photos


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)
    return write_photos(tmp_path / "photos", 12)


def test_a_rate_is_suggested_on_the_screen_in_a_plot_and_as_json(photos: Path) -> None:
    """With the losses that it comes from; Python gives the same."""
    options = ("photos", "--model", "tiny", "--head", "linear", "--scaling", "none")
    done = call("find-lr", *options, "--plot", "rates.png")
    assert done.code == 0
    first, second = done.out.splitlines()
    assert first.startswith("linear: rate 0.0")
    assert first.endswith(" is suggested, where the loss has fallen half of its way")
    assert second.endswith("the default is 0.0003")
    with Image.open("rates.png") as image:
        assert image.size == (1032, 480)
    result = json.loads(call("find-lr", *options, "--json").out)
    assert result["rate"] in result["rates"]
    assert len(result["rates"]) == len(result["losses"]) == len(result["smoothed"])
    found = featstore.find_lr("photos", "linear", {"scaling": "none"}, model="tiny")
    assert found.rate == result["rate"]
    assert str(found) == done.out.strip()
    found.save_plot("again.png")
    assert Path("again.png").read_bytes() == Path("rates.png").read_bytes()
    assert [picture.png for picture in found.plots()] == [Path("rates.png").read_bytes()]


def test_what_has_no_effect_is_refused_before_anything_is_extracted(photos: Path) -> None:
    """A head that a solver fits, parameters that a range test does not use, and plots of other kinds."""
    for head in ("logistic", "logistic-sgd", "hist-gradient-boosting"):  # whose `rate` is that of its trees
        done = call("find-lr", "photos", "--model", "tiny", "--head", head)
        assert done.code == 2
        assert f"head {head}: has no learning rate that can be found; use one of linear, " in done.err
        assert "bn-dropout" in done.err
        assert "boosting" not in done.err.partition("use one of")[2]
    for setting in ("rate=0.1", "epochs=3", "schedule=cosine", "patience=2", "monitor=accuracy"):
        done = call("find-lr", "photos", "--model", "tiny", "--head", "linear", "--set", setting)
        assert done.code == 2
        assert "has no effect on a range test; leave it out" in done.err
    assert ".png" in call("find-lr", "photos", "--model", "tiny", "--head", "linear", "--plot", "rates.pdf").err
    with pytest.raises(UsageError, match="has no learning rate"):
        featstore.find_lr("photos", "logistic", model="tiny")
    assert not Path("cache").exists()
