"""`extract --engine` and `models --benchmark`: what was asked for computes, and what is not known is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from featstore.engines import trial
from featstore.extraction import encoder
from helpers.cli import call

pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)
    monkeypatch.setattr(trial, "BATCHES", {"CPU": (4,)})
    monkeypatch.setattr(trial, "measure_rate", lambda network, pixels: 10.0 * network.batch)


def test_the_engine_that_was_asked_for_computes(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the option, and else by the variable; the rows say what made them."""
    asked: list[str] = []
    load = encoder.load_network

    def spy(*arguments: Any, engine: str, **options: Any) -> Any:
        asked.append(engine)
        return load(*arguments, engine=engine, **options)

    monkeypatch.setattr(encoder, "load_network", spy)
    extract = ("extract", photos, "--model", "tiny", "--size", "32", "--quiet")
    assert call(*extract, "--engine", "openvino").code == 0
    (key,) = Path("cache").glob("*/*/spec.json")
    assert json.loads(key.read_text())["versions"]["engine"].startswith("openvino ")
    monkeypatch.setenv("FEATSTORE_ENGINE", "tensorflow")
    assert call(*extract, "--cache", "other").code == 0
    assert asked == ["openvino", "tensorflow"]


def test_an_engine_that_is_not_known_is_refused(photos: Path) -> None:
    """In one line that names those there are."""
    done = call("extract", photos, "--model", "tiny", "--engine", "steam")
    assert done.code != 0
    assert "--engine steam: use one of auto, tensorflow, openvino" in done.err


def test_benchmark_prints_a_table_and_json() -> None:
    """A row for each engine, precision and batch."""
    pytest.importorskip("tensorflow")
    options = ("models", "--benchmark", "tiny", "--size", "32", "--precision", "float32")
    table, told = call(*options), json.loads(call(*options, "--json").out)
    assert table.out.splitlines()[0].split() == [
        "base",
        "precision",
        "engine",
        "batch",
        "images/s",
        "times",
        "difference",
    ]
    (speeds,) = told["speeds"].values()
    assert [speed["rate"] for speed in speeds] == [320.0, 40.0]
    assert speeds[1]["difference"] < 1e-5


@pytest.mark.parametrize("words", [("--precision", "bfloat16"), ("--size", "64"), ("--alpha", "0.5")])
def test_options_of_a_measurement_need_one(words: tuple[str, ...]) -> None:
    """The list of the bases is the same whatever they say."""
    done = call("models", *words)
    assert done.code == 2
    assert f"{words[0]}: is for a measurement; give it with --benchmark" in done.err
