"""The data of the quickstart; `cli/test_app.py` runs the whole of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from featstore.datasets.digits import write_digits
from featstore.datasets.sources import scan
from featstore.errors import DataError


def test_the_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    """There are 1,797 in one folder per digit, with the 17 levels of the scan scaled to 0..255."""
    assert write_digits(tmp_path / "digits") == 1797
    manifest = scan(tmp_path / "digits")
    digits = load_digits()
    assert len(manifest) == 1797
    assert manifest.classes == tuple("0123456789")
    for number in (0, 1000, 1796):
        path = tmp_path / "digits" / str(digits.target[number]) / f"{number:04d}.png"
        levels = np.asarray(Image.open(path))
        assert levels.dtype == np.uint8
        assert np.abs(levels * (16 / 255) - digits.images[number]).max() <= 0.05


def test_complete_digits_are_not_written_again(tmp_path: Path) -> None:
    """Only missing and incomplete files are written, so a second quickstart has nothing to extract."""
    write_digits(tmp_path)
    missing, partial, whole = (tmp_path / name for name in ("0/0000.png", "1/0001.png", "2/0002.png"))
    content, before = partial.read_bytes(), whole.stat().st_mtime_ns
    missing.unlink()
    partial.write_bytes(content[:20])
    write_digits(tmp_path)
    assert missing.exists()
    assert partial.read_bytes() == content
    assert whole.stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_written_is_an_expected_error(tmp_path: Path) -> None:
    """The message names the option to change."""
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="choose another `folder`"):
        write_digits(tmp_path / "file" / "digits")
