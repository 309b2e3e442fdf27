"""What a file is that is neither HDF5 nor a `.keras` archive, or not all of one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import pytest

from featstore.bases.file_kinds import check_archive_start, check_hdf5
from featstore.errors import BaseUnavailable

STARTS = {
    b"": "is empty",
    bytes(600): "holds zeros where its data should begin",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n": "Git LFS pointer.*git lfs pull",
    b"/annex/objects/SHA256E-s1--00.h5\n": "git annex get",
    b"<!DOCTYPE html>\n<html><title>Sign in</title>": r"web page \(HTML\)",
    b"\n<HTML>": r"web page \(HTML\)",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>': "error message of a server",
    b"404: Not Found": "text that begins with '404: Not Found'",
    "Zugriff verweigert für Gäste".encode(): "text that begins with 'Zugriff",
    b"\x1f\x8b\x08" + bytes(20): "gzip: unpack it",
    b"\x93NUMPY\x01\x00": "array of NumPy",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": "PyTorch",
    b"\x40\x00\x00\x00\x00\x00\x00\x00" + b'{"weight":': "safetensors",
    b"\x1c\x00\x00\x00TFL3": "TensorFlow Lite",
    b"\x80\x04\x95\x00\xff": "neither an HDF5 file nor a .keras archive",
}


@pytest.mark.parametrize("check", [check_hdf5, check_archive_start])
@pytest.mark.parametrize("content", STARTS)
def test_a_file_of_another_kind_is_called_by_its_kind(check: object, content: bytes, tmp_path: Path) -> None:
    """Whichever kind was expected, in one line with the path and the way out."""
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(BaseUnavailable, match=STARTS[content]) as caught:
        check(path)  # type: ignore[operator]
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_an_hdf5_file_that_is_cut_off_is_told_by_its_size(libver: str, tmp_path: Path) -> None:
    """The file says in its first bytes, in each version of them, where it ends. A whole one passes."""
    path = tmp_path / "w.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["x"] = range(1000)
    check_hdf5(path)
    content = path.read_bytes()
    path.write_bytes(content[:-300])
    with pytest.raises(BaseUnavailable, match=rf"is cut off: {len(content) - 300:,} of {len(content):,} bytes"):
        check_hdf5(path)


def test_a_block_of_the_users_may_come_first(tmp_path: Path) -> None:
    """HDF5 allows one of 512 bytes and more."""
    with h5py.File(tmp_path / "w.h5", "w", userblock_size=1024) as file:
        file["x"] = range(10)
    check_hdf5(tmp_path / "w.h5")


def test_archives_are_told_apart_by_their_members(tmp_path: Path) -> None:
    """PyTorch writes zip archives as well, and a `.keras` file may have been renamed."""
    for member, reason in (
        ("archive/data.pkl", "PyTorch"),
        ("config.json", r"give its name the ending \.keras"),
        ("photo.png", "unpack it"),
    ):
        with zipfile.ZipFile(tmp_path / "w.h5", "w") as archive:
            archive.writestr(member, "x")
        check_archive_start(tmp_path / "w.h5")
        with pytest.raises(BaseUnavailable, match=reason):
            check_hdf5(tmp_path / "w.h5")


def test_an_archive_that_is_cut_off_is_told(tmp_path: Path) -> None:
    """The list of its members stands at its end."""
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "x" * 1000)
    (tmp_path / "m.keras").write_bytes((tmp_path / "m.keras").read_bytes()[:500])
    with pytest.raises(BaseUnavailable, match="is cut off: 500 bytes are there and its end is missing"):
        check_archive_start(tmp_path / "m.keras")


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A missing file and a folder."""
    with pytest.raises(BaseUnavailable, match="no such file"):
        check_hdf5(tmp_path / "none.h5")
    with pytest.raises(BaseUnavailable, match="cannot be opened"):
        check_hdf5(tmp_path)
