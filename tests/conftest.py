"""Fixtures: drawn images, data sets of them, and the real data where it is present."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
os.environ["PYTHONSAFEPATH"] = "1"  # processes of the tests import the installed featstore, not the working folder's
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as featstore has it; some tests start TensorFlow themselves
REAL_DATA = Path(os.environ.get("FEATSTORE_TEST_DATA", ROOT.parent / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on real data say why they are skipped where there is none."""
    if not REAL_DATA.is_dir():
        absent = pytest.mark.skip(reason=f"no real data at {REAL_DATA}; set FEATSTORE_TEST_DATA")
        for item in items:
            if "realdata" in item.keywords:
                item.add_marker(absent)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real weights and images; tests that use it carry the marker realdata."""
    return REAL_DATA


def draw(kind: str, number: int, size: tuple[int, int] = (40, 48)) -> Image.Image:
    """A picture of `kind` "stripes" or "discs" on noise, (height, width) px; the number varies all that may vary."""
    rng = np.random.default_rng(number + (1000 if kind == "discs" else 0))
    y, x = np.mgrid[: size[0], : size[1]]
    if kind == "stripes":
        mask = np.sin((x + y * rng.uniform(-1, 1)) * rng.uniform(0.6, 1.2)) > 0
    else:
        centre, radius = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(0.15, 0.3) * min(size)
        mask = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    colours = rng.integers(0, 256, (2, 3))
    pixels = np.where(mask[..., None], colours[0], colours[1]) + rng.normal(0, 12, (*size, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder DATA/<class>/ with 12 drawn PNG images of each of two classes."""
    return write_photos(tmp_path / "photos", 12)


def write_photos(folder: Path, each: int, first: int = 0) -> Path:
    for kind in ("discs", "stripes"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + each):
            draw(kind, number).save(folder / kind / f"{number:03d}.png")
    return folder


# As in pyproject.toml: warnings are errors but for one, about how Keras reads its variables under NumPy 2.
WARNINGS = ("-W", "error", "-W", "ignore:__array__ implementation:DeprecationWarning")

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs `python -m featstore ARGS` in a process of its own, in `tmp_path`, with warnings as errors."""

    def run(*arguments: object, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *WARNINGS, "-m", "featstore", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


def forbid_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if TensorFlow is asked for, also where another test has loaded it already."""
    for module in ("resolve", "encoder"):
        monkeypatch.setattr(f"featstore.extraction.{module}.load_tensorflow", pytest.fail)


class Done(NamedTuple):
    code: int
    out: str
    err: str


def call(*arguments: object) -> Done:
    """`featstore ARGUMENTS` in this process, where TensorFlow is loaded once: its exit code, and what it printed."""
    from featstore.cli import app
    from featstore.system import tensorflow_loader

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    kept = sys.argv, [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    sys.argv = ["featstore", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            app.main()
    finally:
        sys.argv = kept[0]
        for number, handler in kept[1]:
            signal.signal(number, handler)
        tensorflow_loader._mute = False
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(stream.read())
    return Done(int(ended.value.code or 0), *texts)
