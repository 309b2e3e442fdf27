"""Fixtures: drawn images, data sets of them, and the real data where it is present."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from featstore.objects.urls import Url
from helpers.browser import started_browser
from helpers.cli import WARNINGS, Cli
from helpers.light import needs_tensorflow, refuse_tensorflow
from helpers.paths import ROOT
from helpers.photos import write_photos
from helpers.s3_server import environment_of, make_bucket, s3_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

os.environ["PYTHONSAFEPATH"] = "1"  # processes of the tests import the installed featstore, not the working folder's
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as featstore has it; some tests start TensorFlow themselves
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # workers of pytest and what they start share the cores already
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and tables would be cut to it
REAL_DATA = Path(os.environ.get("FEATSTORE_TEST_DATA", ROOT.parent / "shared" / "data"))


def pytest_configure(config: pytest.Config) -> None:
    """Keep TensorFlow out where it is not wanted: a test that asks for it is skipped, whether it is marked or not."""
    if "not tf" in config.option.markexpr:
        refuse_tensorflow()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the collector of garbage pass over what stays: libraries and tests are most objects of the process.

    To look at them again and again took an eighth of the time of all tests.
    """
    gc.disable()  # until all is imported, none of which is garbage
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs TensorFlow or much time. Tests on real data say why they are skipped where there is none."""
    for item in items:
        if needs_tensorflow(item):
            item.add_marker("tf")
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
            item.add_marker("slow")
        if {"robustness", "plots", "twins"} & set(item.path.parts):
            item.add_marker("slow")
    if not REAL_DATA.is_dir():
        absent = pytest.mark.skip(reason=f"no real data at {REAL_DATA}; set FEATSTORE_TEST_DATA")
        for item in items:
            if "realdata" in item.keywords:
                item.add_marker(absent)


@pytest.fixture(autouse=True)
def warnings_are_errors() -> Iterator[None]:
    """Fail a test for a warning of featstore's own: in the pinned state it is only shown, not raised.

    Pillow warns about damaged files, which some tests are about.
    """
    with warnings.catch_warnings(record=True) as shown:
        yield
    found = [f"{each.filename}: {each.message}" for each in shown if f"{os.sep}PIL{os.sep}" not in each.filename]
    assert not found


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real weights and images; tests that use it carry the marker realdata."""
    return REAL_DATA


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless browser, started once; tests that use it get the marker browser."""
    with started_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """The address of an S3 server of this process, started once."""
    with s3_server() as address:
        yield address


@pytest.fixture
def s3(s3_address: str) -> Iterator[Url]:
    """An empty bucket on a real S3 server, which the environment names."""
    with environment_of(s3_address):
        yield Url("s3", make_bucket(s3_address))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder DATA/<class>/ with 12 drawn PNG images of each of two classes."""
    return write_photos(tmp_path / "photos", 12)


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
