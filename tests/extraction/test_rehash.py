"""Images that change without a new time stamp: what is read again by itself, and what `rehash` is for."""

from __future__ import annotations

import functools
import hashlib
import mmap
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featstore
from featstore import extract
from featstore.cli import options
from featstore.datasets.digests import DigestMemory
from featstore.datasets.sources import scan
from featstore.errors import StoreError
from featstore.extraction import cache as cache_module
from featstore.extraction.cache import Cache
from featstore.extraction.pipeline import Extraction
from featstore.system.files import FileStat
from featstore.system.stamps import LOCAL_NS
from helpers.cli import call
from helpers.photos import write_photos


@pytest.fixture(autouse=True)
def no_file_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "DigestMemory", functools.partial(DigestMemory, clock=lambda: 10**19))


@pytest.fixture(params=["disk", "/dev/shm"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "disk":
        yield tmp_path / "images"
        return
    if not os.access(request.param, os.W_OK):
        pytest.skip("there is no tmpfs")
    found = tempfile.mkdtemp(dir=request.param)
    yield Path(found)
    shutil.rmtree(found)


def computed(data: Path, cache: Path) -> int:
    return extract(data, model="pixels", size=16, cache=cache).features[0].computed


def test_a_write_through_a_map_is_noticed(folder: Path, tmp_path: Path) -> None:
    """The page was dirty before the image was first read, so that the write moves no stamp by itself."""
    folder.mkdir(exist_ok=True)
    path = folder / "a.bmp"
    Image.fromarray(np.full((16, 16, 3), 40, np.uint8)).save(path)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        pages[-1] = pages[-1]
        time.sleep(0.05)
        assert [computed(folder, tmp_path / "cache") for _ in range(3)] == [1, 0, 0]
        time.sleep(0.05)
        pages[54:] = bytes([200]) * (len(pages) - 54)
        assert computed(folder, tmp_path / "cache") == 1
    again = extract(folder, model="pixels", size=16, cache=tmp_path / "cache")
    assert again.manifest.pictures[0].digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert featstore.load_features(again.manifest, again.features[0].spec, cache=tmp_path / "cache").X.min() > 0


@pytest.fixture
def deceived(tmp_path: Path) -> tuple[Path, Path]:
    """Images and a cache that has a wrong digest for the first, in the state that the file is in."""
    data, cache = write_photos(tmp_path / "photos", 2), tmp_path / "cache"
    extract(data, model="pixels", size=16, cache=cache)
    one, two = scan(data).pictures[:2]
    memory = DigestMemory(cache / "digests", clock=lambda: 10**19, rehash=True)
    memory.get(one.path, FileStat.of(os.stat(one.path)))
    memory.remember(one.path, one.stat, hashlib.sha256(Path(two.path).read_bytes()).hexdigest(), LOCAL_NS)
    memory.save()
    return data, cache


def is_right(extraction: Extraction) -> bool:
    picture = extraction.manifest.pictures[0]
    return picture.digest == hashlib.sha256(Path(picture.path).read_bytes()).hexdigest()


def test_rehash_reads_every_file_and_renews_what_is_remembered(deceived: tuple[Path, Path]) -> None:
    """The next run without it is right too."""
    data, cache = deceived
    assert not is_right(extract(data, model="pixels", size=16, cache=cache))
    assert is_right(extract(data, model="pixels", size=16, cache=Cache(cache, rehash=True)))
    assert is_right(extract(data, model="pixels", size=16, cache=cache))


def test_rehash_reads_once_however_often_the_cache_is_used(
    deceived: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this cache has read itself counts."""
    data, folder = deceived
    cache = Cache(folder, rehash=True)
    extract(data, model="pixels", size=16, cache=cache)
    monkeypatch.setattr("featstore.images.read_ahead.read_file", pytest.fail)
    assert is_right(extract(data, model="pixels", size=16, cache=cache))


def test_a_copy_in_another_process_rehashes_too(tmp_path: Path) -> None:
    """As joblib makes one."""
    assert pickle.loads(pickle.dumps(Cache(tmp_path, rehash=True))).rehash
    assert not pickle.loads(pickle.dumps(Cache(tmp_path))).rehash


def test_the_command_rehashes(deceived: tuple[Path, Path]) -> None:
    """The cache is right afterwards, for other programs too."""
    data, cache = deceived
    words = ("extract", data, "--model", "pixels", "--size", "16", "--cache", cache)
    assert call(*words).code == 0
    assert not is_right(extract(data, model="pixels", size=16, cache=cache))
    assert call(*words, "--rehash").code == 0
    assert is_right(extract(data, model="pixels", size=16, cache=cache))


class Reached(StoreError):
    """The command has opened its cache."""


@pytest.mark.tf
def test_every_command_that_reads_images_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And hands it on."""
    data, cache = write_photos(tmp_path / "photos", 6), tmp_path / "cache"
    run = featstore.train_head(data, model="tiny", cache=cache, runs=tmp_path / "runs").folder
    asked: list[bool] = []

    def note(folder: Path | None, rehash: bool, engine: str | None = None) -> None:
        asked.append(rehash)
        raise Reached("reached")

    monkeypatch.setattr(options, "chosen_cache", note)
    for words in (
        ("extract", data, "--model", "tiny"),
        ("train-head", data, "--model", "tiny"),
        ("compare", data, "--model", "tiny"),
        ("check-base", data, "--model", "tiny"),
        ("check-base", data, "--model", "MobileNet", "--labels", data),
        ("cache", "explain", data, "--model", "tiny"),
        ("predict", run, data),
        ("evaluate", run, data),
        ("fine-tune", run, data),
    ):
        for extra in ((), ("--rehash",)):
            done = call(*words, *extra)
            assert "reached" in done.err, (words, done.err)
    assert asked == [False, True] * 9
