"""`featstore extract --ray` without an address: a Ray that is started for the command, and stopped with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from featstore import extract
from helpers.photos import write_photos

pytestmark = pytest.mark.ray

_PATIENCE = 240  # seconds: a busy machine starts Ray late


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    pytest.importorskip("ray")
    return write_photos(tmp_path / "photos", 300)


def start(photos: Path, home: Path, *arguments: object) -> subprocess.Popen[str]:
    options = ["--model", "pixels", "--size", 16, "--cache", home / "cache", "--ray", *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", "featstore", "extract", *map(str, [photos, *options])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(home), "TMPDIR": "/tmp"},  # a path of Ray's sockets has 107 bytes at the most
        cwd=home,
    )


def rays(photos: Path) -> list[str]:
    """Return the processes of Ray that were started for these images: their working folder is its own."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(folder / "cwd")) == photos.parent:
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_an_interruption_loses_nothing_and_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    """Ctrl-C says how to go on; what is stored is not computed again; no process of Ray is left, and no token.

    The same command then completes the rest, and its JSON is alone on standard output.
    """
    process = start(photos, tmp_path, "--quiet")
    shards = tmp_path / "cache" / "pixels"
    while process.poll() is None and not list(shards.glob("*/s-*.h5")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 130, err
    assert err.splitlines() == [
        "featstore: interrupted; rows in the cache are kept, and the same command does not compute them again"
    ]
    assert out == ""
    assert not (tmp_path / ".ray").exists()
    deadline = time.monotonic() + _PATIENCE
    while (left := rays(photos)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left

    done = extract(photos, model="pixels", size=16, cache=tmp_path / "cache", ray=False)
    stored = done.features[0].rows - done.features[0].computed
    assert stored > 0

    process = start(write_photos(photos, 10, 300), tmp_path, "--json", "--workers", 1)
    out, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, err
    [features] = json.loads(out)["features"]
    assert (features["computed"], features["rows"]) == (20, 620)
    assert err.splitlines()[1].startswith("Ray: 1 worker with ")
