"""Images in memory become files: the same pixels, written once, and only where their scale is certain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featstore.datasets.arrays import write_images
from featstore.errors import DataError
from featstore.extraction.cache import Cache
from featstore.images.decode import decode_rgb
from helpers.encoded import encoded, tagged
from helpers.photos import draw

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (5, 9, 7, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


def read(paths: list[str]) -> np.ndarray:
    """(n, height, width, 3), as an extraction reads the files."""
    return np.stack([np.asarray(decode_rgb(Path(path).read_bytes())) for path in paths])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (COLOUR, COLOUR),
        (GREY, np.repeat(GREY[..., None], 3, -1)),
        (GREY[..., None], np.repeat(GREY[..., None], 3, -1)),
        (list(COLOUR), COLOUR),
        (COLOUR.astype(np.int64), COLOUR),
        (COLOUR.astype(np.float32), COLOUR),
        (COLOUR / 255, COLOUR),
        ((COLOUR / 255).astype(np.float32), COLOUR),
        (COLOUR > 99, (COLOUR > 99) * 255),
        ([Image.fromarray(image) for image in COLOUR], COLOUR),
    ],
)
def test_the_pixels_stay_the_same(images: Any, expected: np.ndarray, tmp_path: Path) -> None:
    """Whatever type the levels have, if it is certain what they mean."""
    assert np.array_equal(read(write_images(images, tmp_path, "set")), expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (COLOUR.astype(np.uint16) * 257, "from 0 to 65535|scales"),
        (COLOUR / 127.5 - 1, "may be of several scales; convert them to uint8 from 0 to 255"),
        (RANDOM.random((5, 9, 7, 3)), "several scales"),
        ((COLOUR > 99).astype(np.float32), "several scales"),
        ((COLOUR > 99).astype(np.uint8), "numbers from 0 to 1 .uint8. may be of several scales"),
        (COLOUR // 16 * 1.0, "several scales"),
        (COLOUR.astype(np.int16) - 128, "several scales"),
        (np.full((5, 9, 7, 3), np.nan), "not finite"),
        (np.array([["a"]] * 9)[None], "expected images of numbers"),
        (np.moveaxis(COLOUR, 3, 1), "has its channels first .3, 9, 7.: move them to the end"),
        (
            np.concatenate([COLOUR, COLOUR], -1),
            r"expected \(height, width\) or \(height, width, 3\), found \(9, 7, 6\)",
        ),
        (COLOUR[0, 0], "expected an array .n, height, width, 3."),
        ([COLOUR[0], COLOUR[0] / 255], "expected images of one type, found float64 and uint8"),
        ([Image.new("F", (4, 4))], "image 0: pixels of 32 bits .mode F. have no defined range"),
    ],
)
def test_what_may_mean_two_things_is_refused(images: Any, message: str, tmp_path: Path) -> None:
    """Nothing is guessed, and nothing is written."""
    with pytest.raises(DataError, match=message):
        write_images(images, tmp_path, "set")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_an_image_of_pillow_is_read_like_its_file(mode: str, tmp_path: Path) -> None:
    """Transparency, palette and depth included."""
    image = draw("discs", 1).convert("L").convert(mode) if mode == "I;16" else draw("discs", 1).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(100)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert np.array_equal(read(write_images([image], tmp_path, "set"))[0], decode_rgb(encoded(image, kind)))


def test_an_image_that_was_opened_is_turned_like_its_file(tmp_path: Path) -> None:
    """Pillow keeps the pixels as they are stored, and the tag that says how to turn them."""
    path = tmp_path / "turned.png"
    path.write_bytes(encoded(draw("discs", 2), exif=tagged(6)))
    with Image.open(path) as image:
        assert np.array_equal(read(write_images([image], tmp_path, "set"))[0], decode_rgb(path.read_bytes()))


def test_the_same_images_are_written_once(tmp_path: Path) -> None:
    """The second call finds them; other images, and the same in another split, have files of their own."""
    first = write_images(COLOUR, tmp_path, "set")
    states = [Path(path).stat().st_mtime_ns for path in first]
    assert write_images(COLOUR.astype(float), tmp_path, "again") == first
    assert [Path(path).stat().st_mtime_ns for path in first] == states
    assert not {*first} & {*write_images(COLOUR[::-1], tmp_path, "set")}
    assert not {*first} & {*write_images(COLOUR, tmp_path, "set", "test")}


def test_what_was_interrupted_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a set, and half a file, count as nothing."""
    from featstore.datasets import arrays

    written: list[Path] = []
    write = arrays._write

    def fail_at_the_third(path: Path, data: bytes) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(arrays, "_write", fail_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            write_images(COLOUR, tmp_path, "set")
    written[0].write_bytes(b"half")
    assert np.array_equal(read(write_images(COLOUR, tmp_path, "set")), COLOUR)


def test_a_cache_with_images_is_a_cache(tmp_path: Path) -> None:
    """They are not keys: nothing lists, checks or removes them."""
    paths = write_images(COLOUR, tmp_path, "set")
    assert Cache(tmp_path).keys() == []
    assert all(Path(path).exists() for path in paths)
