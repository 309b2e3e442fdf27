"""The trial: reading and computing are timed together, without the start, in a process that may die."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featstore import scan
from featstore.datasets.manifest import Picture
from featstore.errors import BaseUnavailable, DataError
from featstore.extraction import trial
from featstore.extraction.cache import Cache
from featstore.extraction.plan import PlannedRows, make_plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.trial import Pace, Trial, measure_pace, run_trial
from helpers.photos import write_photos

PIXELS = Recipe(model="pixels", size=8)
FOUND = Trial("tensorflow", 5.0, 0.5, 1000.0, 10**9)


class Slow:
    """A network that takes its time for a batch, and more for the first."""

    engine, batch, calls = "slow", 4, 2

    def __init__(self, seconds: float) -> None:
        self.seconds, self.first = seconds, True

    def __call__(self, images: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        assert len(images) == self.batch
        time.sleep(self.seconds + (0.3 if self.first else 0))
        self.first = False
        return (np.zeros((len(images), 5), np.float32),)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Picture]:
    monkeypatch.setattr(trial, "SECONDS", 0.1)
    return list(scan(write_photos(tmp_path / "photos", 5)).pictures)


@pytest.fixture
def rows(tmp_path: Path) -> PlannedRows:
    return make_plan(PIXELS, Cache(tmp_path / "cache").digests).parts[0]


def test_a_pace_is_that_of_calls_at_once_without_the_start(pictures: list[Picture], rows: PlannedRows) -> None:
    """Two calls at once of 4 images take 20 ms, so an image takes 2.5 ms, though the first call took 0.3 s more."""
    start = time.perf_counter()
    pace = measure_pace(lambda: Slow(0.02), rows, pictures, 10**6)
    passed = time.perf_counter() - start
    assert pace.engine == "slow"
    assert pace.bytes == 5 * 2
    assert 0.0025 <= pace.seconds < 0.02
    assert passed - pace.spent > 0.25


def test_a_batch_that_is_not_full_takes_as_long() -> None:
    """And the images of the canary are computed too."""
    pace = Pace("tensorflow", 32, 0.1, 10, 0.0)
    assert [round(pace.seconds_for(rows) / 3.2) for rows in (1, 28, 29, 60, 1200)] == [1, 1, 2, 2, 38]


def test_files_from_a_slow_disk_are_slow_once(
    pictures: list[Picture], rows: PlannedRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next time they come from memory; in an extraction each comes from the disk."""
    read, seen = trial._read, set()

    def read_slowly(some: list[Picture], rows: PlannedRows) -> list[NDArray[Any]]:
        time.sleep(0.05 * len({p.path for p in some} - seen))
        seen.update(p.path for p in some)
        return read(some, rows)

    monkeypatch.setattr(trial, "_read", read_slowly)
    assert measure_pace(lambda: Slow(0.001), rows, pictures, 10**6).seconds >= 0.05


def test_images_that_cannot_be_read_are_no_trial(pictures: list[Picture], rows: PlannedRows) -> None:
    for picture in pictures:
        Path(picture.path).write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot be read, nor can any other image of the trial"):
        measure_pace(lambda: Slow(0.001), rows, pictures, 10**6)


def answer(stdout: str, code: int = 0) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda *args, **options: subprocess.CompletedProcess(args, code, stdout, "")


def test_an_error_in_the_process_is_raised_here(
    pictures: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As itself; and one that was killed, as where the memory is full, is told."""
    cache = Cache(tmp_path / "cache")
    monkeypatch.setattr(trial.subprocess, "run", answer('noise\n{"kind": "DataError", "error": "no images"}\n'))
    with pytest.raises(DataError, match="no images"):
        run_trial(PIXELS, cache, pictures, 10)
    monkeypatch.setattr(trial.subprocess, "run", answer("", -9))
    with pytest.raises(BaseUnavailable, match=r"pixels: the process that tried it ended \(exit code -9\)"):
        run_trial(PIXELS, cache, pictures, 10)


def test_the_choice_of_an_engine_is_no_part_of_the_start(
    pictures: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is remembered, so the extraction does without."""
    runs: list[Trial] = []

    def run(model: str, task: dict[str, Any]) -> Trial:
        (tmp_path / "cache" / "engines").mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / "engines" / "choice.json").touch()
        runs.append(FOUND._replace(start=30.0 if not runs else 3.0))
        return runs[-1]

    monkeypatch.setattr(trial, "_run", run)
    assert run_trial(PIXELS, Cache(tmp_path / "cache"), pictures, 10).start == 3.0
    assert run_trial(PIXELS, Cache(tmp_path / "cache"), pictures, 10).start == 3.0
    assert len(runs) == 3
