"""Where this machine keeps what belongs to a cache on object storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.objects.local import local_folder
from featstore.objects.urls import Url

CACHE = Url("s3", "bucket", "team/cache")


def test_each_cache_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATSTORE_LOCAL", str(tmp_path))
    folders = {local_folder(url) for url in (CACHE, CACHE / "x", Url("gs", "bucket", "team/cache"), CACHE.root)}
    assert len(folders) == 4
    assert all(folder.parent == tmp_path for folder in folders)
    assert local_folder(Url("s3", "bucket", "team") / "cache") == local_folder(CACHE)


def test_the_folder_of_all_caches_is_that_of_other_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATSTORE_LOCAL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert local_folder(CACHE).parent == tmp_path / "xdg" / "featstore"
    for empty in ("", "relative"):  # which the standard says to ignore
        monkeypatch.setenv("XDG_CACHE_HOME", empty)
        assert local_folder(CACHE).parent == tmp_path / ".cache" / "featstore"


def test_a_relative_folder_stays_the_same_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEATSTORE_LOCAL", "copies")
    folder = local_folder(CACHE)
    assert folder.parent == tmp_path / "copies"
