"""Where files of weights are looked for that are not where they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from featstore.bases.whereabouts import describe_places, files_like, keras_models


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("FEATSTORE_WEIGHTS", os.pathsep.join([str(tmp_path / "team"), str(tmp_path / "mine")]))


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_files_of_the_same_name_come_first(tmp_path: Path) -> None:
    """Then those of other names; of each, those next to the run, in the folders that are named, and in Keras' own."""
    other = put(tmp_path / "runs" / "a" / "other.h5")
    keras = put(tmp_path / "keras" / "models" / "w.h5")
    mine = put(tmp_path / "mine" / "w.h5")
    team = put(tmp_path / "team" / "w.h5")
    root = put(tmp_path / "runs" / "w.h5")
    assert files_like(tmp_path / "gone" / "w.h5", tmp_path / "runs" / "a") == [root, team, mine, keras, other]
    assert keras_models() == keras.parent


def test_only_files_of_the_same_kind_are_candidates(tmp_path: Path) -> None:
    """A network in an archive is not one of weights in HDF5, a folder and a photo are neither."""
    put(tmp_path / "run" / "photo.png")
    (tmp_path / "run" / "folder.h5").mkdir()
    archive, weights = put(tmp_path / "run" / "m.keras"), put(tmp_path / "run" / "w.hdf5")
    assert files_like(tmp_path / "x.keras", tmp_path / "run") == [archive]
    assert files_like(tmp_path / "x.weights.h5", tmp_path / "run") == [weights]


def test_folders_that_do_not_exist_are_passed_over(tmp_path: Path) -> None:
    """As the variable may name a drive that is not mounted."""
    assert files_like(tmp_path / "a" / "w.h5", tmp_path / "b") == []


def test_the_places_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the variable is."""
    assert f"$FEATSTORE_WEIGHTS ({tmp_path / 'team'}" in describe_places()
    monkeypatch.delenv("FEATSTORE_WEIGHTS")
    assert "$FEATSTORE_WEIGHTS (not set) or in" in describe_places()
