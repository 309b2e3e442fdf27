"""Pictures in tars from end to end: what is computed of them is what is computed of the unpacked files, bit by bit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featstore
from featstore.datasets import tar_members
from helpers.buckets import MemoryBucket, bucket_in_place
from helpers.photos import write_photos
from helpers.tars import forget_tars, pack

PIXELS: dict[str, Any] = {"model": "pixels", "size": 4}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBucket]:
    """A bucket, and clocks that are an hour ahead: the stamps of a file that was just written count as settled."""
    now = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: now() + 3600 * 10**9)
    with bucket_in_place(MemoryBucket()) as made:
        assert isinstance(made, MemoryBucket)
        yield made
    tar_members._folder = None


@pytest.fixture
def places(tmp_path: Path, bucket: MemoryBucket) -> dict[str, str]:
    """The same photos as files, in a tar on disk, and in one in a bucket."""
    folder = write_photos(tmp_path / "photos", 6)
    tar = pack(folder, tmp_path / "photos.tar", "./")
    bucket.store("set/photos.tar", tar.read_bytes())
    return {"files": str(folder), "tar": str(tar), "url": "s3://b/set/photos.tar"}


def test_rows_are_those_of_the_unpacked_files(places: dict[str, str], tmp_path: Path, bucket: MemoryBucket) -> None:
    """Keys, digests, rows and their shards; and a re-run reads no byte of a picture, and no header."""
    shards, loaded = set(), []
    for kind, place in places.items():
        cache = tmp_path / kind
        first = featstore.extract(place, **PIXELS, cache=cache)
        assert first.features[0].computed == len(first.manifest) == 12
        shards.add(frozenset(path.name for path in cache.rglob("s-*.h5")))
        forget_tars()
        bucket.forget_requests()
        assert featstore.extract(place, **PIXELS, cache=cache).features[0].computed == 0
        assert bucket.requests["get_range"] == 0
        assert bucket.requests.total() <= 2
        loaded.append(featstore.load_features(first.manifest, first.features[0].spec, cache=cache))
    assert len(shards) == 1
    for found in loaded[1:]:
        assert np.array_equal(found.X, loaded[0].X)
        assert np.array_equal(found.ids, loaded[0].ids)


def test_a_run_on_a_tar_is_used_like_any_other(places: dict[str, str], tmp_path: Path) -> None:
    """Predictions, pages and pictures of heat maps read the files in the tar again, by their paths."""
    cache, runs = tmp_path / "cache", tmp_path / "runs"
    trained = featstore.train_head(places["tar"], "majority", **PIXELS, cache=cache, runs=runs)
    run = featstore.load_run(trained.folder)
    by_url = featstore.predict(run, f"{places['url']}!discs/000.png", cache=cache)
    by_path = featstore.predict(run, [f"{places['tar']}!discs/000.png"], cache=cache)
    assert by_url.images[0].probabilities == by_path.images[0].probabilities
    assert featstore.evaluate(run, places["url"], cache=cache).metrics
    page = tmp_path / "page.html"
    featstore.report_runs([run], cache=cache, out=page)
    assert "photos.tar!" in page.read_text()
