"""What a file of weights or of a network is, by its first bytes, where it is not what its name says.

A pointer of Git LFS, a web page or half a download fails in HDF5 or zip with words about something else. The user has
to hear what the file is, and how to come by the right one. Nothing is loaded for this.
"""

from __future__ import annotations

import os
import zipfile
from contextlib import suppress
from pathlib import Path

from featstore.errors import BaseUnavailable
from featstore.system.files import open_regular

HDF5_ENDINGS = (".h5", ".hdf5")  # `.weights.h5` included
ARCHIVE_ENDING = ".keras"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_HEAD_BYTES = 512
_AGAIN = "download or copy it again"
_CONVERT = "featstore runs networks of Keras: load it into the same network there, and save it with save_weights"
_STARTS = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself: run `git lfs pull` in its repository"),
    (b"/annex/objects/", "is a pointer of git-annex, not the file itself: run `git annex get` in its repository"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", f"is a file of PyTorch; {_CONVERT}"),
    (b"\x93NUMPY", f"is an array of NumPy; {_CONVERT}"),
    (b"\x1f\x8b", "is compressed by gzip: unpack it"),
    (b"BZh", "is compressed by bzip2: unpack it"),
    (b"\xfd7zXZ\0", "is compressed by xz: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "is an archive of 7-Zip: unpack it"),
)
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")
_FORMATS_OF_OTHERS = {
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".bin": "PyTorch",
    ".ckpt": "PyTorch or TensorFlow 1",
    ".safetensors": "PyTorch and others (safetensors)",
    ".onnx": "ONNX",
    ".pb": "TensorFlow (a SavedModel or a frozen graph)",
    ".tflite": "TensorFlow Lite",
    ".npz": "NumPy",
    ".mat": "MATLAB",
    ".caffemodel": "Caffe",
}


def foreign_format(path: str) -> str | None:
    """Return why a file of this name cannot be read: its ending is of another library. None for any other ending."""
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        return "is a SavedModel of TensorFlow: load it with Keras 2, and save it there as name.h5"
    library = _FORMATS_OF_OTHERS.get(Path(path).suffix.lower())
    return library and f"is a file of {library} by its ending; {_CONVERT}"


def check_hdf5(path: Path) -> None:
    """Raise BaseUnavailable, with what the file is, unless it begins as an HDF5 file and has its whole length."""
    head = _read_head(path)
    if head.startswith(_ZIP):
        kind = _describe_archive(path)
        raise BaseUnavailable(f"{path}: expected an HDF5 file, but it {kind}")
    if reason := _missing_from_hdf5(path, head) if _is_hdf5(path, head) else _describe(head):
        raise BaseUnavailable(f"{path}: {reason}")


def check_archive_start(path: Path) -> None:
    """Raise BaseUnavailable, with what the file is, unless it is a whole zip archive."""
    head = _read_head(path)
    if head.startswith(_HDF5):
        raise BaseUnavailable(f"{path}: is an HDF5 file, not a .keras archive: give its name the ending .h5")
    if not head.startswith(_ZIP):
        raise BaseUnavailable(f"{path}: {_describe(head)}")
    if not zipfile.is_zipfile(path):  # its list of members stands at the end
        size = os.path.getsize(path)
        raise BaseUnavailable(f"{path}: is cut off: {size:,} bytes are there and its end is missing; {_AGAIN}")


def _read_head(path: Path) -> bytes:
    try:
        file, _ = open_regular(path)
        with file:
            return file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise BaseUnavailable(f"{path}: no such file") from error
    except OSError as error:
        raise BaseUnavailable(f"{path}: cannot be opened: {error.strerror or error}") from error


def _is_hdf5(path: Path, head: bytes) -> bool:
    """Return whether it is an HDF5 file; a block of the user's, of 512 bytes or twice as often, may come before it."""
    if head.startswith(_HDF5):
        return True
    with suppress(OSError), path.open("rb") as file:
        for place in (512, 1024, 2048):
            file.seek(place)
            if file.read(len(_HDF5)) == _HDF5:
                return True
    return False


def _describe(head: bytes) -> str:
    """Return what a file is that begins with `head`, in words that follow its name."""
    if not head:
        return f"is empty (0 bytes): {_AGAIN}"
    if not head.strip(b"\0"):
        return f"holds zeros where its data should begin, as after an interrupted download: {_AGAIN}"
    if found := next((text for start, text in _STARTS if head.startswith(start)), None):
        return found
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PAGES) or (text.startswith((b"<?xml", b"<!--")) and b"<html" in text):
        return f"is a web page (HTML), which a server sent in place of the file: {_AGAIN}"
    if text.startswith((b"<?xml", b"<error")) and b"<error" in text:
        return f"is the error message of a server (XML), not the file itself: {_AGAIN}"
    if head[8:10] == b'{"' and head[4:8] == b"\0" * 4:
        return f"is a file of safetensors; {_CONVERT}"
    if head[4:8] == b"TFL3":
        return f"is a file of TensorFlow Lite; {_CONVERT}"
    if line := _first_line(head):
        return f"is a text that begins with {line!r}, not the file itself: {_AGAIN}"
    return "is neither an HDF5 file nor a .keras archive"


def _describe_archive(path: Path) -> str:
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any(name.endswith("data.pkl") for name in names):
            return f"is a file of PyTorch; {_CONVERT}"
        if "config.json" in names:
            return "is a .keras archive: give its name the ending .keras"
    return "is a zip archive: unpack it"


def _missing_from_hdf5(path: Path, head: bytes) -> str | None:
    """Return how much is missing of an HDF5 file that was cut off; None if nothing is, or its size is not known.

    The superblock says where the file ends (HDF5 File Format Specification 3.0, section II.A).
    """
    version, place = head[8:9], {b"\0": 40, b"\1": 44, b"\2": 28, b"\3": 28}.get(head[8:9])
    bytes_of_a_place = head[13:14] if version in (b"\0", b"\1") else head[9:10]
    if not head.startswith(_HDF5) or place is None or bytes_of_a_place != b"\x08":
        return None
    found, expected = os.path.getsize(path), int.from_bytes(head[place : place + 8], "little")
    return f"is cut off: {found:,} of {expected:,} bytes are there; {_AGAIN}" if found < expected else None


def _first_line(head: bytes) -> str:
    """Return the beginning of a text; empty if it is none."""
    unknown = "\ufffd"
    text = head.decode("utf-8", errors="replace").rstrip(unknown).strip()  # the head may end within a character
    is_text = unknown not in text and all(c.isprintable() or c.isspace() for c in text)
    return text.splitlines()[0][:40] if is_text and text else ""
