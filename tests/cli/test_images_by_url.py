"""Commands whose images are objects: the same rows as from a folder, and their URLs wherever a path would be."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from featstore.objects import obstore_bucket
from featstore.objects.obstore_bucket import ObstoreBucket
from featstore.objects.opening import use_buckets
from helpers.buckets import MemoryBucket, bucket_in_place
from helpers.cli import call
from helpers.photos import write_photos

URL = "s3://b/photos"
BASE = ("--model", "pixels", "--size", "8")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBucket]:
    """A bucket with the photos of the folder `photos`, whose features are in the cache."""
    monkeypatch.chdir(tmp_path)
    made = MemoryBucket()
    for path in write_photos(Path("photos"), 8).rglob("*.png"):
        made.store(str(path), path.read_bytes())
    with bucket_in_place(made):
        assert call("extract", "photos", *BASE, "--quiet").code == 0
        yield made


def test_rows_belong_to_bytes_wherever_they_lie(bucket: MemoryBucket) -> None:
    """What was computed from a folder serves its copy in a bucket, and a second run reads no image."""
    for images in (16, 0):
        bucket.forget_requests()
        done = json.loads(call("extract", URL, *BASE, "--json").out)
        [features] = done["features"]
        assert (features["computed"], features["reused"]) == (0, 16)
        assert bucket.requests["get"] == images
        assert bucket.requests["list"] == 2


def test_a_run_remembers_the_url_and_its_answers_name_them(bucket: MemoryBucket) -> None:
    assert call("train-head", URL, *BASE, "--head", "knn", "--name", "r", "--quiet").code == 0
    assert json.loads(Path("runs/r/run.json").read_text())["data"] == URL
    new = [f"{URL}/discs/000.png", "photos/stripes/001.png"]
    assert call("predict", "runs/r", *new, "--csv", "answers.csv", "--sheet", "sheet.png").code == 0
    with open("answers.csv", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == new
    assert call("explain", "runs/r", new[0], "--out", "maps").code == 0
    assert [path.name for path in Path("maps").iterdir()] == ["1-000.png"]
    bucket.forget_requests()
    assert call("report", "runs/r", "--out", "page.html", "--quiet").code == 0  # whose pictures come from the bucket
    assert bucket.requests["get"] >= 16


def test_without_the_package_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(obstore_bucket, "find_spec", lambda name: None)
    before = use_buckets(ObstoreBucket)
    try:
        done = call("extract", URL, *BASE)
    finally:
        use_buckets(before)
    assert done.code == 2
    assert done.err.strip().endswith("object storage needs obstore: pip install 'featstore-keras[objects]'")
    assert not list(tmp_path.iterdir())


REFUSED = (
    ("extract", "https://x/y", *BASE),
    ("train-head", "photos", *BASE, "--runs", URL),
    ("scan", "s3:/b/photos"),
)


@pytest.mark.parametrize("words", REFUSED)
def test_a_url_that_is_not_taken_makes_no_folder(words: tuple[str, ...], bucket: MemoryBucket) -> None:
    before = {*Path().iterdir()}
    done = call(*words)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert {*Path().iterdir()} == before
