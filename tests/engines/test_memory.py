"""What is kept about engines: it spares loading TensorFlow, and costs only time where it is lost."""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore import extract
from featstore.bases.source import parse_source
from featstore.engines import memory
from featstore.engines.memory import FOLDER, Choice, Memory
from featstore.engines.openvino_loader import load_openvino
from featstore.extraction.cache import Cache
from featstore.features.load import load_features
from helpers.children import in_child
from helpers.specs import SPEC

SOURCE = parse_source("tiny", None, None, 0)
CHOICE = Choice("openvino", 4, "CPU", 1e-7, {"tensorflow": 2.0, "openvino": 1.0})


def extract_without_tensorflow(photos: str, cache: str) -> None:
    """Extract the second class with what was learned with the first."""
    extraction = extract(photos, model="tiny", size=32, cache=Cache(cache, engine="openvino"))
    assert extraction.features[0].computed == 12
    assert "tensorflow" not in sys.modules


@pytest.mark.tf
def test_an_extraction_by_a_kept_network_does_not_load_tensorflow(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are those of TensorFlow, and the kept files are no part of any key."""
    pytest.importorskip("openvino")
    from featstore.engines import trial

    monkeypatch.setattr(trial, "measure_rate", lambda network, pixels: 1.0)
    cache, other = tmp_path / "cache", Cache(tmp_path / "other", engine="tensorflow")
    some, *_ = sorted(path for path in photos.iterdir() if path.is_dir())
    extract(some, model="tiny", size=32, cache=Cache(cache, engine="openvino"))
    in_child(extract_without_tensorflow, photos, cache, seconds=60)
    mine, theirs = (extract(photos, model="tiny", size=32, cache=one) for one in (cache, other))
    rows = [
        load_features(made.manifest, made.features[0].spec, cache=kept).X
        for made, kept in ((mine, cache), (theirs, other))
    ]
    np.testing.assert_allclose(rows[0], rows[1], rtol=2e-3, atol=2e-3)
    assert len(Cache(cache).keys()) == 1
    Cache(cache).repair()
    assert not Cache(cache).verify()[0].faults
    assert list((cache / FOLDER).glob("*.network"))


def test_a_choice_is_that_of_a_network_and_a_precision(tmp_path: Path) -> None:
    """Storage is no part of a network."""
    Memory(tmp_path, SOURCE, [SPEC]).remember(CHOICE)
    assert Memory(tmp_path, SOURCE, [SPEC]).choice() == CHOICE
    assert Memory(tmp_path, SOURCE, [replace(SPEC, dtype="float32")]).choice() == CHOICE
    for changes in ({"layer": "other"}, {"precision": "bfloat16"}, {"weights": "0" * 64}, {"pool": "max"}):
        assert Memory(tmp_path, SOURCE, [replace(SPEC, **changes)]).choice() is None
    assert Memory(tmp_path, SOURCE, [SPEC, SPEC]).choice() is None
    assert Memory(None, SOURCE, [SPEC]).choice() is None


def test_the_machine_and_the_versions_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another processor has another fastest engine; another release may compute something else."""
    Memory(tmp_path, SOURCE, [SPEC]).remember(CHOICE)
    for name in ("processor_name", "default_threads"):
        with monkeypatch.context() as patch:
            patch.setattr(memory, name, lambda: 99)
            assert Memory(tmp_path, SOURCE, [SPEC]).choice() is None
    monkeypatch.setattr(memory, "version", lambda package: "99")
    assert Memory(tmp_path, SOURCE, [SPEC]).choice() is None


def kept(**changes: Any) -> bytes:
    return json.dumps({"format": memory._FORMAT, **asdict(CHOICE), **changes}, indent=1).encode()


DAMAGED = (b"", b"{}", b"[]", b"\xff", kept(engine="other"), kept(rates=[1]), kept(batch=float("inf")), kept(batch=0))


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_choice_does_not_count(damage: bytes, tmp_path: Path) -> None:
    """Nor is it an error."""
    Memory(tmp_path, SOURCE, [SPEC]).remember(CHOICE)
    (file,) = (tmp_path / FOLDER).iterdir()
    file.write_bytes(damage)
    assert Memory(tmp_path, SOURCE, [SPEC]).choice() is None


def test_a_damaged_network_is_removed(tmp_path: Path) -> None:
    """Its digest is compared before OpenVINO sees a byte of it."""
    pytest.importorskip("openvino")
    ov = load_openvino()
    pixels = ov.opset8.parameter([-1, 2, 2, 3], np.float32)
    model = ov.Model([ov.opset8.multiply(pixels, np.float32(np.pi))], [pixels], "twice")
    Memory(tmp_path, SOURCE, [SPEC]).keep(model)
    (file,) = (tmp_path / FOLDER).iterdir()
    good = file.read_bytes()
    kept = Memory(tmp_path, SOURCE, [SPEC]).model()
    assert ov.Core().compile_model(kept, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
        [np.ones((1, 2, 2, 3), np.float32)]
    )[0].max() == np.float32(np.pi)
    for damage in (b"", b"{}\n", b"[]\n", good[:-1], good[:-1] + b"?", b"\n" + good):
        file.write_bytes(damage)
        assert Memory(tmp_path, SOURCE, [SPEC]).model() is None
        assert not file.exists()


def test_only_the_files_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the folder does not grow without end."""
    monkeypatch.setattr(memory, "MOST_KEPT", {".json": 3})
    for number in range(6):
        kept = Memory(tmp_path, SOURCE, [replace(SPEC, layer=f"layer_{number}")])
        kept.remember(CHOICE)
        os.utime(tmp_path / FOLDER / f"{kept.choice_name}.json", (number, number))
    assert len(list((tmp_path / FOLDER).iterdir())) == 3
    assert kept.choice() == CHOICE


def test_large_files_are_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks have up to 550 MB. The latest one stays, whatever its size."""
    for files in (4, 2, 0):
        monkeypatch.setattr(memory, "MOST_BYTES", files * len(kept()))
        for number in range(4):
            latest = Memory(tmp_path, SOURCE, [replace(SPEC, layer=f"layer_{number}")])
            latest.remember(CHOICE)
        assert len(list((tmp_path / FOLDER).iterdir())) == max(1, files)
        assert latest.choice() == CHOICE


def test_a_full_disk_does_not_stop_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not kept, and can be used."""

    def full(model: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(memory, "_serialize", full)
    known = Memory(tmp_path, SOURCE, [SPEC])
    known.keep("a model")
    assert known.model() == "a model"


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """Only time is lost."""
    (tmp_path / FOLDER).write_text("a file")
    Memory(tmp_path, SOURCE, [SPEC]).remember(CHOICE)
    assert Memory(tmp_path, SOURCE, [SPEC]).choice() is None
