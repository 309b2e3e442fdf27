"""HDF5 files where nothing can be locked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import h5py
import pytest

from featstore.bases.hdf5 import open_hdf5
from featstore.errors import BaseUnavailable
from helpers.cli import Cli
from helpers.photos import write_photos


@pytest.fixture
def no_locks(tmp_path: Path) -> str:
    """A library that lets every lock fail, as on NFS and Lustre, to be preloaded."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source, library = tmp_path / "no.c", tmp_path / "no.so"
    source.write_text("#include <errno.h>\nint flock(int file, int how) { errno = ENOLCK; return -1; }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return str(library)


def test_a_file_that_another_program_has_locked_can_be_read(tmp_path: Path) -> None:
    """Files are only read, so no lock is taken."""
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["x"] = 1
        file.flush()
        with open_hdf5(tmp_path / "w.h5") as other:
            assert other["x"][()] == 1


def test_what_is_missing_in_a_file_is_one_line(tmp_path: Path) -> None:
    """h5py reads an item when it is asked for."""
    with h5py.File(tmp_path / "w.h5", "w"):
        pass
    with (
        pytest.raises(BaseUnavailable, match=r"w\.h5: cannot be read as an HDF5 file"),
        open_hdf5(tmp_path / "w.h5") as file,
    ):
        _ = file["absent"]


@pytest.mark.tf
def test_weights_are_read_where_nothing_can_be_locked(cli: Cli, no_locks: str, tmp_path: Path) -> None:
    """Those of a user's file, which Keras opens, and those that are shipped, which featstore opens."""
    write_photos(tmp_path / "photos", 2)
    from featstore.bases.source import parse_source
    from helpers.networks import fresh, save_weights

    save_weights(fresh(parse_source("MobileNet", "random", 0.25, 0), 32, 32), tmp_path / "w")
    for base in (("tiny",), ("MobileNet", "--alpha", 0.25, "--size", 32, "--weights", "w.weights.h5")):
        done = cli("extract", "photos", "--model", *base, LD_PRELOAD=no_locks)
        assert done.returncode == 0, done.stderr
