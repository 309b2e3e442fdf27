"""Extraction on a real Ray of two nodes on this machine: the rows of a plain one, whatever becomes of the workers."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore import extract
from featstore.cluster import rounds
from featstore.cluster.questions import FATAL
from featstore.datasets.splits import complete_splits
from featstore.errors import StoreError, UsageError
from featstore.extraction.cache import Cache
from featstore.extraction.pipeline import Extraction
from featstore.features.views import load_augmented, load_views
from helpers import ray_workers
from helpers.paths import ROOT
from helpers.photos import draw, write_photos
from helpers.ray_workers import FatalWorker, OtherWorker

pytestmark = pytest.mark.ray
PIXELS: Any = {"model": "pixels", "size": 16}


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[str]]:
    """The ids of two nodes with a core each, to which this process is connected."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_AUTH_MODE": "disabled"}
    os.environ["PYTHONPATH"] = str(ROOT)
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        ray.cloudpickle.register_pickle_by_value(ray_workers)
        yield [found["NodeID"] for found in ray.nodes()]
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    """No run of Ray Data goes on after a command, whatever became of its workers: it would start a Ray of its own."""
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("StreamingExecutor")]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """80 drawn images and a file that is none."""
    folder = write_photos(tmp_path / "photos", 40)
    (folder / "discs" / "broken.png").write_bytes(b"x")
    return folder


def rows(extraction: Extraction, cache: Path) -> list[np.ndarray]:
    manifest, plans = complete_splits(extraction.manifest), extraction.plans
    plain = load_views(manifest.pictures, plans, Cache(cache))
    augmented = load_augmented(manifest.of_split("train"), plans, Cache(cache))
    return [plain] if augmented is None else [plain, augmented]


def computed(extraction: Extraction) -> list[tuple[int, int]]:
    return [(features.computed, features.rows) for features in extraction.features]


def assert_as_plain(done: Extraction, folder: Path, images: Path, **options: Any) -> None:
    """Key, ids, rows and skipped files are those of a plain extraction, which finds nothing left to do."""
    plain = extract(images, **options, cache=folder / "plain")
    assert [features.spec for features in done.features] == [features.spec for features in plain.features]
    for mine, others in zip(rows(done, folder / "cache"), rows(plain, folder / "plain"), strict=True):
        np.testing.assert_array_equal(mine, others)
    again = extract(images, **options, cache=folder / "cache")
    assert [features.computed for features in again.features] == [0] * len(again.features)
    assert not [finding.faults for finding in Cache(folder / "cache").verify() if finding.faults]


def test_the_rows_of_a_plain_extraction(nodes: list[str], tmp_path: Path) -> None:
    """With augmented versions: same keys, ids, rows and skipped files, bit by bit."""
    images = write_photos(tmp_path / "photos", 25)
    (images / "discs" / "broken.png").write_bytes(b"x")
    options: Any = {**PIXELS, "views": "augment:1"}
    done = extract(images, **options, cache=tmp_path / "cache", ray=True, workers=1)
    plain = extract(images, **options, cache=tmp_path / "plain")
    assert computed(done) == computed(plain)
    assert done.manifest == plain.manifest
    assert_as_plain(done, tmp_path, images, **options)


def test_a_worker_that_is_killed_costs_nothing(
    nodes: list[str], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL in mid-run: all rows are there, none is wrong, and the next run computes nothing."""
    killed: list[int] = []
    look = rounds.Round._look

    def kill_one(self: rounds.Round) -> None:
        look(self)
        if self._places and not killed:
            killed.append(next(iter(self._places.values())).process)
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(rounds.Round, "_look", kill_one)
    monkeypatch.setattr(rounds, "_LOOK_SECONDS", 0.02)
    done = extract(images, **PIXELS, cache=tmp_path / "cache", ray=True)
    assert killed
    assert len(done.manifest) == 80
    assert_as_plain(done, tmp_path, images, **PIXELS)


def test_a_file_that_ends_its_worker_is_named(
    nodes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs itself: the images of its block are done one by one."""
    images = write_photos(tmp_path / "few", 15)
    draw("discs", 999).save(images / "discs" / "fatal.png")
    monkeypatch.setattr(rounds, "Worker", FatalWorker)
    done = extract(images, **PIXELS, cache=tmp_path / "cache", ray=True)
    assert {Path(path).name: reason for path, reason in done.manifest.skipped}["fatal.png"] == FATAL
    assert computed(done)[0][1] == len(done.manifest) == 30
    (images / "discs" / "fatal.png").unlink()
    assert_as_plain(done, tmp_path, images, **PIXELS)


def test_a_node_with_another_environment_is_refused_and_named(
    nodes: list[str], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary is computed by each worker. The other node does all, and no wrong row is stored."""
    few = write_photos(tmp_path / "few", 4)
    extract(few, **PIXELS, cache=tmp_path / "cache")
    monkeypatch.setattr(OtherWorker, "others", (nodes[1],))
    monkeypatch.setattr(rounds, "Worker", OtherWorker)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        done = extract(images, **PIXELS, cache=tmp_path / "cache", ray=True, workers=2)
    [line] = [str(warning.message) for warning in told if "no more work" in str(warning.message)]
    assert line.startswith("node ")
    assert "features of the same images differ by 1.0e-02" in line
    assert len(done.manifest) == 80
    assert_as_plain(done, tmp_path, images, **PIXELS)


def test_if_all_nodes_are_refused_the_reason_is_the_error(
    nodes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OtherWorker, "others", tuple(nodes))
    monkeypatch.setattr(rounds, "Worker", OtherWorker)
    few = write_photos(tmp_path / "few", 4)
    extract(few, **PIXELS, cache=tmp_path / "cache")
    write_photos(tmp_path / "few", 40)
    with pytest.warns(UserWarning, match="no more work"), pytest.raises(StoreError, match="its rows were made with"):
        extract(few, **PIXELS, cache=tmp_path / "cache", ray=True)


def test_more_workers_than_fit_are_refused(nodes: list[str], images: Path, tmp_path: Path) -> None:
    """Ray would wait for the fifth without a word."""
    with pytest.raises(UsageError, match=r"workers=5: 4 fit, .* found 2 nodes with 2 cores"):
        extract(images, **PIXELS, cache=tmp_path / "cache", ray=True, workers=5)
