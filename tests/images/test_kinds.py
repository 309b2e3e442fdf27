"""Every kind of file becomes what it shows, by what it declares, or is refused with what it is and what to do."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featstore.errors import UnreadableImage
from featstore.images.decode import brightest_level, decode_rgb
from featstore.images.identity import content_digest
from featstore.system.pinned import pinned
from helpers.encoded import encoded, pixels, png, tagged, tiff
from helpers.photos import draw

RAMP = np.linspace(0, 65535, 32).astype("<u2")


def row(raw: bytes, bits: int = 16) -> list[int]:
    """The levels of the first line of a grey image."""
    return np.asarray(decode_rgb(raw, bits))[0, :, 0].tolist()


def grey(levels: np.ndarray, photometric: int = 1, **tags: int) -> bytes:
    return tiff(levels.tobytes(), len(levels), 1, (levels.itemsize * 8,), photometric, **tags)


# Polarity and depth


@pytest.mark.parametrize("depth", ["<u2", "u1"])
def test_white_is_zero_at_any_depth(depth: str) -> None:
    """A scan or an X-ray that is stored from white to black shows what it shows elsewhere."""
    levels = (RAMP if depth == "<u2" else RAMP // 257).astype(depth)
    assert row(grey(levels, 0)) == [255 - level for level in row(grey(levels, 1))]


def twelve(levels: list[int]) -> bytes:
    """Levels of 12 bits, two in three bytes."""
    return b"".join(struct.pack(">I", a << 12 | b)[1:] for a, b in zip(levels[::2], levels[1::2], strict=True))


def test_levels_of_12_bits_end_at_4095() -> None:
    """A TIFF says that it has 12 bits, so 4,095 is white; Pillow leaves them as they are."""
    assert row(tiff(twelve([0, 4095, 2048, 16]), 4, 1, (12,), 1)) == [0, 255, 128, 1]


@pytest.mark.parametrize("maximum", [1, 100, 1023, 4095, 65535])
def test_a_portable_map_ends_at_its_maximum(maximum: int) -> None:
    """PGM declares the level of white."""
    levels = [0, maximum // 2, maximum]
    body = bytes(levels) if maximum < 256 else struct.pack(">3H", *levels)
    expected = [round(level * 255 / maximum) for level in levels]
    read = row(b"P5\n3 1\n%d\n" % maximum + body)
    assert np.abs(np.subtract(read, expected)).max() <= 1
    assert read[::2] == [0, 255]


@pytest.mark.parametrize("kind", ["P1", "P2", "P3", "P4", "P5", "P6"])
def test_portable_maps_are_read(kind: str) -> None:
    """Text and binary, black and white, grey and colour."""
    bodies = {
        "P1": b"P1\n# a comment\n2 1\n1 0\n",
        "P2": b"P2\n2 1\n255\n0 255\n",
        "P3": b"P3\n2 1\n255\n0 0 0 255 255 255\n",
        "P4": b"P4\n2 1\n\x80",
        "P5": b"P5\n2 1\n255\n\x00\xff",
        "P6": b"P6\n2 1\n255\n\0\0\0\xff\xff\xff",
    }
    assert pixels(bodies[kind]).tolist() == [[[0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_bits_that_the_user_names_count(kind: str) -> None:
    """12 bits in a file that declares 16: their white is 4,095, and what is brighter is refused, not cut off."""
    levels = np.array([[0, 16, 2048, 4095]], np.uint16)
    raw = encoded(Image.fromarray(levels), kind)
    assert row(raw) == [0, 0, 8, 16]
    assert row(raw, 12) == [0, 1, 128, 255]
    with pytest.raises(UnreadableImage, match="has levels up to 4095, and 11 bits end at 2047"):
        row(raw, 11)
    assert brightest_level(raw) == (4095, True)


def test_bits_that_the_user_names_yield_to_the_file() -> None:
    """Only what says 16 may be less."""
    declared = (tiff(twelve([0, 4095]), 2, 1, (12,), 1), b"P5\n2 1\n4095\n" + struct.pack(">2H", 0, 4095))
    for raw in (*declared, encoded(Image.fromarray(np.array([[0, 255]], np.uint8)))):
        assert row(raw, 14) == row(raw) == [0, 255]
        assert brightest_level(raw) is None


def test_white_is_zero_with_bits() -> None:
    """The white that is turned is that of the bits."""
    assert row(grey(np.array([0, 4095], "<u2"), 0), 12) == [255, 0]


# Bands beyond the colours


RGBX = bytes([10, 20, 30, 0, 40, 50, 60, 128])


def test_a_fourth_band_is_alpha_only_if_declared() -> None:
    """Infrared or elevation beside RGB hides nothing; Pillow takes a band without a meaning for alpha."""
    colours = [[[10, 20, 30], [40, 50, 60]]]
    for tags in ({}, {"t338": 0}, {"t338": 999}):
        assert pixels(tiff(RGBX, 2, 1, (8,) * 4, 2, **tags)).tolist() == colours
    assert pixels(tiff(RGBX, 2, 1, (8,) * 4, 2, t338=2)).tolist() == [[[255, 255, 255], [147, 152, 157]]]


def test_a_second_band_is_alpha_only_if_declared() -> None:
    """The same for grey."""
    assert row(tiff(bytes([10, 0, 40, 0]), 2, 1, (8, 8), 1, t338=0)) == [10, 40]
    assert row(tiff(bytes([10, 0, 40, 0]), 2, 1, (8, 8), 1, t338=2)) == [255, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_jpeg_2000_declares_its_alpha(mode: str) -> None:
    """With a channel definition the band is alpha; without one, or in a bare code stream, it is not."""
    image = draw("discs", 3).convert(mode)
    image.putalpha(0)
    raw = encoded(image, "JPEG2000")
    place = raw.find(b"cdef")
    bare = encoded(image, "JPEG2000", no_jp2=True)
    if place > 0:
        assert (pixels(raw) == 255).all()
        raw = raw[:place] + b"free" + raw[place + 4 :]
    expected = np.asarray(image.convert("RGBA"))[..., :3]
    for undeclared in (raw, bare):
        assert np.abs(pixels(undeclared) - expected).max() <= 2


def test_16_bit_jpeg_2000_is_scaled() -> None:
    """Its levels are those of a PNG with 16 bits."""
    levels = np.tile(RAMP, (32, 1))
    read = pixels(encoded(Image.fromarray(levels), "JPEG2000"))
    assert np.abs(read[..., 0] - levels // 257).max() <= 1


# Further formats


def test_avif_is_read_upright_and_on_white() -> None:
    """Its alpha is declared, and its turn is applied once."""
    image = Image.new("RGBA", (48, 32), (250, 0, 0, 255))
    image.paste((0, 0, 250, 0), (0, 0, 48, 16))
    for orientation, corner in ((1, (0, 0)), (3, (-1, -1))):
        read = pixels(encoded(image, "AVIF", quality=100, exif=tagged(orientation)))
        assert (read[corner] > 245).all()
        assert np.abs(read[corner[0] - 1 if corner[0] == 0 else 0, 0] - [250, 0, 0]).max() < 12


def test_heic_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says which."""
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    raw = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    with pytest.raises(UnreadableImage, match=r"is a HEIC photo: `pip install featstore-keras\[heic\]` reads it"):
        decode_rgb(raw)


def test_heic_is_read_with_the_extra() -> None:
    """As its container says, which libheif obeys."""
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    image = Image.new("RGB", (64, 32), (250, 0, 0))
    image.paste((0, 0, 250), (0, 0, 32, 32))
    read = pixels(encoded(image, "HEIF", quality=95))
    assert read.shape == (32, 64, 3)
    assert np.abs(read[5, 5] - [0, 0, 250]).max() < 12


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"%PDF-1.7\n", "is a PDF: convert its pages"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg xmlns='x'/>", "is an SVG drawing: convert it"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
        (b"\xff\x0a" + bytes(20), "is a JPEG XL image, which is not read: save it as PNG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "is a JPEG XL image"),
        (b"8BPS\0\x01", "is a Photoshop file"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page, likely in place of the image"),
        (b"<html>404</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS.*git lfs pull"),
        (bytes(128) + b"DICM", "is a DICOM file"),
        (b"\x93NUMPY\x01\0", "is a NumPy array"),
        (b"PK\x03\x04", "is an archive: unpack it"),
        (b"\0\0\0\x18ftypqt  ", "is a film"),
        (b"MM\0*" + bytes(30), "is a TIFF of a kind that is not read, or damaged: save it as PNG"),
        (b"\x89PNG\r\n\x1a\n", "is a damaged image|cannot be decoded"),
        (b"\xff\xd8\xff", "is a damaged image|cannot be decoded"),
        (tiff(bytes(3), 1, 1, (8, 8, 8), 2, t254=1), "is a camera's raw file, of which only the preview"),
        (tiff(bytes(1), 1, 1, (8,), 1, t339=2), "has levels with a sign"),
    ],
)
def test_what_is_not_read_is_named(raw: bytes, reason: str) -> None:
    """What it is, and what to do."""
    with pytest.raises(UnreadableImage, match=reason):
        decode_rgb(raw)


# The rows of what was read in another way before


def test_only_what_was_misread_has_another_identity() -> None:
    """Rows of other pixels are not found for it; the rows of all other files stay those of their bytes."""
    from hashlib import sha256

    image = draw("discs", 1)
    same = [
        *(encoded(image, kind) for kind in ("PNG", "JPEG", "TIFF", "AVIF", "PPM")),
        encoded(image.convert("RGBA"), "TIFF"),
        grey(RAMP, 1),
        grey((RAMP // 257).astype("u1"), 0),
        tiff(RGBX, 2, 1, (8,) * 4, 2, t338=0),
        b"II*\0" + b"\xff" * 50,
    ]
    changed = [
        grey(RAMP, 0),
        tiff(twelve([0, 4095]), 2, 1, (12,), 1),
        tiff(RGBX, 2, 1, (8,) * 4, 2),
        tiff(RGBX, 2, 1, (8,) * 4, 2, t338=999),
        tiff(bytes(1), 1, 1, (8,), 1, t339=2),
        tiff(bytes(3), 1, 1, (8, 8, 8), 2, t254=1),
    ]
    assert [content_digest(raw) == sha256(raw).hexdigest() for raw in same] == [True] * len(same)
    assert [content_digest(raw) for raw in changed] == [
        sha256(b"featstore-tiff-2:" + raw).hexdigest() for raw in changed
    ]


def test_warnings_of_pillow_are_not_shown(tmp_path: Path) -> None:
    """They name its source files; the image is read or has a reason."""
    damaged = encoded(draw("discs", 6), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with pinned():
            decode_rgb(damaged)
            decode_rgb(png(2, 1, 8, 0, b"\0\1\2"))
    assert not shown
