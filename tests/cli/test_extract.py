"""`featstore extract`: tables, notes and JSON, what is skipped, and interruptions."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featstore.datasets.digests import DigestMemory
from featstore.extraction import cache as cache_module
from featstore.system.progress import Display
from helpers.cli import WARNINGS, Done, call
from helpers.photos import draw, write_photos


def extract(data: object, *arguments: object) -> Done:
    return call("extract", data, "--model", "tiny", *arguments)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)


def test_a_table_for_people(photos: Path) -> None:
    """A line per variant: what was computed and what was reused."""
    done = extract("photos", "--preprocess", "keras", "--preprocess", "raw")
    assert done.code == 0
    header, *lines = done.out.splitlines()
    assert header.split() == ["preprocess", "images", "computed", "reused", "shape", "seconds", "path"]
    assert [line.split()[:5] for line in lines] == [[name, "24", "24", "0", "256"] for name in ("keras", "raw")]
    assert extract("photos").out.splitlines()[1].split()[:4] == ["keras", "24", "0", "24"]


def test_new_images_are_announced(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the work starts, a line says what is in the cache and what is to be done."""
    later = functools.partial(DigestMemory, clock=lambda: 10**19)  # what was drawn just now would be read again
    monkeypatch.setattr(cache_module, "DigestMemory", later)
    assert extract(photos).err == "2 classes: discs 12, stripes 12\n"
    draw("discs", 77).save(photos / "discs" / "new.png")
    assert extract(photos).err.splitlines() == [
        "2 classes: discs 13, stripes 12",
        "24 of 25 images are in the cache, 1 to go",
    ]


def test_quiet_prints_nothing_but_warnings(photos: Path) -> None:
    """Skipped files are a warning, tables and progress are not."""
    assert extract(photos, "--quiet") == (0, "", "")
    (photos / "discs" / "broken.png").write_bytes(b"x")
    done = extract(photos, "--quiet")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("1 skipped:\n")


def test_json_is_the_only_thing_on_standard_output(photos: Path) -> None:
    """Skipped files are in it, with their true names and reasons."""
    name = "\x1b[31m[b]\u202e\n.png"
    (photos / "discs" / name).write_bytes(b"x")
    done = extract(photos, "--json")
    result = json.loads(done.out)
    assert [item["path"] for item in result["skipped"]] == [str(photos / "discs" / name)]
    assert result["data"]["classes"]["discs"] == {"images": 12, "unsplit": 12}
    assert done.err == "2 classes: discs 13, stripes 12\n"


def test_a_name_that_is_no_text_can_be_printed(photos: Path) -> None:
    """Bytes that are no UTF-8 come out as escapes on the screen, and come back from the JSON."""
    raw = os.fsencode(photos / "discs") + b"/bad\xff.png"
    with open(raw, "wb") as file:
        file.write(b"x")
    [item] = json.loads(extract(photos, "--json").out)["skipped"]
    assert os.fsencode(item["path"]) == raw
    assert "bad\\udcff.png: is not a readable JPEG" in extract(photos).err


def test_strict_keeps_the_rows_and_fails(photos: Path) -> None:
    """The exit code says that a file had to be skipped; what could be read is in the cache."""
    (photos / "discs" / "broken.png").write_bytes(b"x")
    assert extract(photos, "--strict").code == 1
    [features] = json.loads(extract(photos, "--strict", "--json").out)["features"]
    assert (features["images"], features["computed"]) == (24, 0)
    (photos / "discs" / "broken.png").unlink()
    assert extract(photos, "--strict").code == 0


def test_a_long_list_of_skipped_files_is_cut(photos: Path) -> None:
    """Twenty are shown, and how many there are."""
    for number in range(25):
        (photos / "discs" / f"broken{number:02d}.png").write_bytes(b"x")
    err = extract(photos).err
    assert "\n25 skipped:\n" in err
    assert err.count(": is not a readable JPEG") == 20
    assert "... and 5 more (all of them with --json)" in err


@pytest.mark.parametrize("seed", ["-1", "4294967296", "x"])
@pytest.mark.parametrize("command", ["extract", "train-head"])
def test_a_seed_that_cannot_be_is_a_usage_error(photos: Path, command: str, seed: str) -> None:
    """What numpy would stumble over much later is refused at once."""
    done = call(command, photos, "--model", "tiny", "--seed", seed)
    assert done.code == 2
    assert "--seed" in done.err


def test_an_unexpected_base_for_keras_is_explained(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Keras runs on something else, one line says what to set."""
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    done = extract(photos, "--preprocess", "caffe")
    assert done.code == 1
    assert (
        done.err.splitlines()[-1] + "\n"
        == "featstore: Keras runs on jax here and featstore on TensorFlow: set KERAS_BACKEND=tensorflow\n"
    )


def test_the_version_is_printed() -> None:
    """By --version, which needs no command."""
    from featstore import __version__

    assert call("--version") == (0, f"featstore {__version__}\n", "")


def test_a_list_a_flat_folder_and_an_image_are_data_too() -> None:
    """Anything that names images can be extracted."""
    write_photos(Path("photos"), 2)
    Path("list.csv").write_text("path,label\nphotos/discs/000.png,disc\nphotos/stripes/001.png,stripes\n")
    for data, images in (("list.csv", 2), ("photos/discs", 2), ("photos/discs/001.png", 1)):
        assert json.loads(extract(data, "--json").out)["features"][0]["images"] == images


def test_small_grey_images_are_enlarged() -> None:
    """28x28 greyscale PNG through a base that needs 32 px: read right, at the size asked for."""
    rng = np.random.default_rng(0)
    Path("digits").mkdir()
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (28, 28), dtype=np.uint8)).save(f"digits/{number}.png")
    assert json.loads(extract("digits", "--size", "48", "--json").out)["features"][0]["shape"] == [256]
    refused = extract("digits", "--size", "28")
    assert refused.code == 2
    assert "at least 32 px per side; give a larger --size, to which smaller images are enlarged" in refused.err


INTERRUPTED = "featstore: interrupted; rows in the cache are kept, and the same command does not compute them again\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_extraction_goes_on(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """Ctrl-C or a polite kill after the first batch: its rows stay, the exit code tells, and the next run goes on."""
    write_photos(Path("photos"), 24)
    advance = Display.advance

    def interrupt(self: Display, computed: bool) -> None:
        advance(self, computed)
        if self._done == 40:
            signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(Display, "advance", interrupt)
        done = extract("photos", "--json")
    assert (done.code, done.out, done.err) == (128 + number, "", f"2 classes: discs 24, stripes 24\n{INTERRUPTED}")
    assert not list(Path("cache").rglob(".tmp-*"))
    [features] = json.loads(extract("photos", "--json").out)["features"]
    assert (features["images"], features["reused"]) == (48, 28)  # the canary is in the first batch


@pytest.mark.tf
def test_an_interrupted_process_ends_at_once() -> None:
    """Killed politely after its first shard, which is stored, and while threads and TensorFlow are at work."""
    write_photos(Path("many"), 96)
    options = ("extract", "many", "--model", "tiny", "--size", "128", "--pool", "none", "--json")
    command = [sys.executable, *WARNINGS, "-m", "featstore", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not list(Path("cache").glob("tiny/*/s-*.h5")):
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (128 + signal.SIGTERM, ""), err
    assert err.endswith(INTERRUPTED)
    assert not list(Path("cache").rglob(".tmp-*"))


def test_options_given_several_times_are_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set of features for each combination, in a table that tells what differs."""
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", 3)
    words = ("--model", "tiny", "--layer", "last", "--layer", "stem_relu", "--pool", "avg", "--pool", "max")
    done = call("extract", "photos", *words)
    assert done.code == 0
    header, *rows = done.out.splitlines()
    assert header.split()[:4] == ["preprocess", "layer", "pool", "images"]
    assert [row.split()[1:3] for row in rows] == [
        [layer, pool] for layer in ("last", "stem_relu") for pool in ("avg", "max")
    ]
