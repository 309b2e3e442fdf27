"""Reading image files right, and refusing what cannot be read."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from PIL import Image

from featstore.errors import UnreadableImage
from featstore.images.decode import MAX_PIXELS, decode_rgb
from featstore.images.reading import Reading


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixels(raw: bytes) -> np.ndarray:
    return np.asarray(decode_rgb(raw)).astype(int)


def test_rgb_pixels_come_back_as_they_were() -> None:
    """A lossless RGB image is read unchanged."""
    image = draw("discs", 1)
    assert np.array_equal(pixels(encoded(image)), np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_and_palette_become_three_channels(mode: str) -> None:
    """Greyscale, bilevel and palette images are read as the RGB they show."""
    image = draw("discs", 2).convert(mode)
    assert np.array_equal(pixels(encoded(image)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_laid_on_white(mode: str) -> None:
    """Fully transparent pixels are white whatever colour is stored under them, opaque ones stay."""
    image = draw("stripes", 3).convert(mode)
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 10, 10))
    image.putalpha(alpha)
    read = pixels(encoded(image))
    assert (read[:10, :10] == 255).all()
    assert np.array_equal(read[10:, 10:], np.asarray(draw("stripes", 3).convert(mode).convert("RGB"))[10:, 10:])


def test_a_transparent_palette_entry_is_white() -> None:
    """The transparency of a palette (tRNS) counts as well."""
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 1), 1)
    read = pixels(encoded(image, transparency=0))
    assert read[0, 0].tolist() == [255, 255, 255]
    assert read[1, 1].tolist() == [200, 100, 50]


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    """16-bit levels are divided by 257; Pillow's own conversion would show them white."""
    levels = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    assert pixels(encoded(Image.fromarray(levels)))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_cmyk_is_converted() -> None:
    """A CMYK JPEG is read as RGB."""
    assert pixels(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))[4, 4, 0] > 200


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation_is_applied_once(orientation: int, kind: str) -> None:
    """An image stored turned, with the tag that says so, is read upright, also where Pillow turns it by itself."""
    upright = draw("discs", 5)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation -> the Transpose that makes the stored picture
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(pixels(encoded(stored, kind, exif=exif)), np.asarray(upright))


def test_the_first_frame_of_an_animation_is_read() -> None:
    """An animated GIF gives its first frame."""
    first, second = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "blue")
    assert pixels(encoded(first, "GIF", save_all=True, append_images=[second]))[4, 4].tolist() == [255, 0, 0]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_damaged_exif_does_not_make_a_photo_unreadable() -> None:
    """EXIF data that cannot be parsed count as upright."""
    raw = encoded(draw("discs", 6), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert pixels(raw).shape == (40, 48, 3)


def test_a_jpeg_without_jfif_header_is_fine() -> None:
    """A photo is not judged by its APP0 marker."""
    raw = encoded(draw("discs", 7), "JPEG")
    assert raw[2:4] == b"\xff\xe0"
    length = struct.unpack(">H", raw[4:6])[0]
    assert pixels(raw[:2] + raw[4 + length :]).shape == (40, 48, 3)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"no image at all", "no JPEG"),
        (encoded(draw("discs", 8), "JPEG")[:900], "cannot be decoded"),
        (encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "32 bits"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, reason: str) -> None:
    """Empty, foreign, truncated and float files are refused with the reason."""
    with pytest.raises(UnreadableImage, match=reason):
        decode_rgb(raw)


@pytest.mark.parametrize("side", [8_000, 30_000])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    """A PNG that declares too many pixels is refused although it has no pixel data to decode."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    assert side * side > MAX_PIXELS
    raw = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")
    )
    with pytest.raises(UnreadableImage, match="declares"):
        decode_rgb(raw)


@pytest.mark.realdata
def test_every_nasty_file_is_a_row_or_a_reason(real_data: Path) -> None:
    """The 120 broken, odd and hostile files are read or refused as their manifest says."""
    import csv

    read = Reading(64, 64).reader()
    wrong = []
    with (real_data / "images" / "nasty" / "MANIFEST.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                outcome = read((real_data / "images" / "nasty" / row["file"]).read_bytes()).shape == (64, 64, 3)
            except UnreadableImage as error:
                outcome = not str(error)
            expect = row["expect"]
            must_fail = "raises" in expect or "refused" in expect
            if "decode or refuse" not in expect and outcome == must_fail:
                wrong.append((row["file"], expect, outcome))
    assert wrong == []
