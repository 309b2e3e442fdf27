"""The data of the quickstart: handwritten digits that need no download."""

from __future__ import annotations

import io
from pathlib import Path

from featstore.errors import DataError, param


def write_digits(folder: Path) -> int:
    """Write scikit-learn's 1,797 handwritten digits (8x8 grey) as `folder/<digit>/<number>.png`; return their number.

    Complete files are not written again, so that a second quickstart has nothing to extract. Files are not synced to
    the disk: they can be made again after a power cut, and syncing all would take ten seconds. Raises DataError.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    levels = np.round(digits.images * (255 / 16)).astype(np.uint8)  # the scans have 0..16
    for number, (image, digit) in enumerate(zip(levels, digits.target, strict=True)):
        png = io.BytesIO()
        Image.fromarray(image).save(png, "PNG")
        _write(folder / str(digit) / f"{number:04d}.png", png.getvalue())
    return len(levels)


def _write(path: Path, data: bytes) -> None:
    try:
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}; choose another {param('folder')}") from error
