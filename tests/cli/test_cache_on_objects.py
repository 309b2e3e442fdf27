"""`featstore` with a cache on object storage, from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from featstore.extraction.cache import Cache
from featstore.objects.opening import open_bucket
from featstore.objects.urls import Url
from helpers.buckets import MemoryBucket, bucket_in_place
from helpers.cli import call
from helpers.keyfolder import filled, folder_of
from helpers.photos import write_photos

CACHE = Url("s3", "b", "cache")
FOLDER = folder_of(CACHE)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEATSTORE_LOCAL", str(tmp_path / "machine"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "machine"


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[MemoryBucket]:
    """A bucket with a key of three shards."""
    bucket = MemoryBucket()
    folder = filled(tmp_path / "plain")
    for file in folder.iterdir():
        bucket.store(f"{FOLDER.path}/{file.name}", file.read_bytes())
    with bucket_in_place(bucket):
        yield bucket


def test_commands_that_look_after_a_cache(bucket: MemoryBucket) -> None:
    at = "--cache", str(CACHE)
    assert "1 key, 6 rows" in call("cache", "ls", *at).out
    assert call("cache", "verify", *at).out.endswith(": all right\n")
    assert "would remove 1 key" in call("cache", "prune", "--max-size", "0", *at).out
    for command in ("repair", "compact"):
        refused = call("cache", command, *at)
        assert refused.code == 2
        assert "programs that write there cannot all be seen from here: give --yes if none does" in refused.err
    assert "1 key: 6 rows right" in call("cache", "repair", "--yes", *at).out
    assert "1 key of 1 compacted" in call("cache", "compact", "--yes", *at).out
    assert call("cache", "verify", *at).out.startswith("1 of 1 shard of 1 key read, 6 rows")
    assert "removed 1 key" in call("cache", "prune", "--max-size", "0", "--yes", *at).out
    assert not bucket.objects


def test_damage_is_found_and_repaired(bucket: MemoryBucket) -> None:
    at = "--cache", str(CACHE)
    damaged = next(path for path in bucket.objects if "/s-" in path)
    bucket.store(damaged, b"x")
    found = call("cache", "verify", *at)
    assert found.code == 1
    assert f"s3://b/{damaged}: the bytes do not match the name: damaged" in found.out
    repaired = json.loads(call("cache", "repair", "--yes", "--json", *at).out)
    assert [len(key["quarantined"]) for key in repaired["keys"]] == [1]
    assert call("cache", "verify", *at).code == 0


@pytest.mark.tf
def test_a_cache_on_a_server_is_that_of_a_disk_bit_by_bit(
    s3: Url, tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, pixels = write_photos(tmp_path / "photos", 6), ("--model", "pixels", "--size", "4", "--cache")
    first = call("extract", photos, *pixels, s3 / "cache", "--json")
    assert first.code == 0, first.err
    assert call("extract", photos, *pixels, tmp_path / "plain").code == 0
    bucket = open_bucket(s3)
    for path, _ in list(bucket.list_all("cache")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(bucket.get(path)[0])
    shards = {path.name for path in (tmp_path / "plain").rglob("s-*.h5")}
    assert shards == {path.name for path in (tmp_path / "cache").rglob("s-*.h5")}
    copied, plain = (Cache(tmp_path / name).keys() for name in ("cache", "plain"))
    assert [(key.key, key.spec, key.rows) for key in copied] == [(key.key, key.spec, key.rows) for key in plain]
    assert call("cache", "verify", "--cache", tmp_path / "cache").code == 0
    assert call("extract", photos, *pixels, tmp_path / "cache", "--json").out.count('"computed": 0')
    again = call("extract", photos, *pixels, s3 / "cache", "--json")
    assert again.out.count('"computed": 0')
    assert "12 of 12 images" in call("cache", "explain", photos, *pixels, s3 / "cache").out
    monkeypatch.setenv("FEATSTORE_LOCAL", str(tmp_path / "another"))  # which has only the bucket
    assert call("cache", "verify", "--cache", s3 / "cache").code == 0
    assert call("features", photos, *pixels, s3 / "cache", "--out", tmp_path / "two.npz").code == 0
    assert call("features", photos, *pixels, tmp_path / "plain", "--out", tmp_path / "one.npz").code == 0
    with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "two.npz") as two:
        assert all(np.array_equal(one[name], two[name]) for name in one.files)
    assert "secret-of-tests" not in first.out + first.err + again.out + again.err
