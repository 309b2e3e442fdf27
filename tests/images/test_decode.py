"""Reading image files right, and refusing what cannot be read."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from featstore.errors import UnreadableImage, UsageError
from featstore.images.decode import decode_rgb, frame_count, open_image
from featstore.system.pinned import pinned
from helpers.children import environment
from helpers.encoded import WHOLE, chunk, declaring, encoded, pixels, png, stored, tagged
from helpers.photos import draw

# Colours


def test_rgb_pixels_come_back_as_they_were() -> None:
    """A lossless RGB image is read unchanged, from every format that is read."""
    image = draw("discs", 1)
    for raw in (
        encoded(image),
        encoded(image, "BMP"),
        encoded(image, "TIFF"),
        encoded(image, "TIFF", compression="tiff_lzw"),
        encoded(image, "WEBP", lossless=True),
    ):
        assert np.array_equal(pixels(raw), np.asarray(image))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_and_palette_become_three_channels(mode: str, kind: str) -> None:
    """Greyscale, bilevel and palette images are read as the RGB they show."""
    image = draw("discs", 2).convert(mode)
    assert np.array_equal(pixels(encoded(image, kind)), np.asarray(image.convert("RGB")))


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    """A greyscale photo is as grey as it was."""
    image = draw("discs", 2).convert("L")
    read = pixels(encoded(image, "JPEG", quality=95))
    assert (read == read[..., :1]).all()
    assert np.abs(read[..., 0] - np.asarray(image)).mean() < 5


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_laid_on_white(mode: str, kind: str) -> None:
    """Transparent pixels are white whatever colour is stored under them, translucent ones in part, opaque ones stay."""
    image = draw("stripes", 3).convert("L" if mode == "LA" else "RGB")
    alpha = np.full((40, 48), 255, np.uint8)
    alpha[:10], alpha[10:20] = 0, 100
    colours = np.asarray(image.convert("RGB")).astype(float)
    image.putalpha(Image.fromarray(alpha))
    lossless = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    expected = colours * alpha[..., None] / 255 + 255 - alpha[..., None].astype(float)
    assert image.mode == mode
    assert np.array_equal(pixels(encoded(image, kind, **lossless)), np.floor(expected + 0.5))


def test_a_transparent_palette_entry_is_white() -> None:
    """The transparency of a palette (tRNS) counts, as one entry or as an alpha for each."""
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50, 7, 8, 9])
    image.putpixel((1, 1), 1)
    image.putpixel((2, 2), 2)
    for raw, shown in (
        (encoded(image, transparency=0), [[255, 255, 255], [200, 100, 50], [7, 8, 9]]),
        (encoded(image, "GIF", transparency=0), [[255, 255, 255], [200, 100, 50], [7, 8, 9]]),
        (encoded(image, transparency=b"\xff\x00\x80"), [[10, 20, 30], [255, 255, 255], [131, 131, 132]]),
    ):
        read = pixels(raw)
        assert [read[0, 0].tolist(), read[1, 1].tolist(), read[2, 2].tolist()] == shown


@pytest.mark.parametrize("colour", [0, 2])
def test_one_transparent_colour_is_white(colour: int) -> None:
    """A grey or RGB PNG may name one level or colour that is transparent (tRNS) instead of an alpha channel."""
    samples = [1, 2] if colour == 0 else [1, 2, 3, 4, 5, 6]
    transparent = struct.pack(f">{len(samples) // 2}H", *samples[: len(samples) // 2])
    read = pixels(png(2, 1, 8, colour, bytes([0, *samples]), chunk(b"tRNS", transparent)))
    assert read[0].tolist() == [[255, 255, 255], [2, 2, 2] if colour == 0 else [4, 5, 6]]


LEVELS = np.array([[0, 128, 129, 257, 128 * 257, 65406, 65407, 65535]], np.uint16)
IN_8_BITS = [0, 0, 1, 1, 128, 254, 255, 255]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "big endian"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    """16-bit levels are divided by 257 and rounded; Pillow's own conversion would show nearly all of them white."""
    if kind == "big endian":
        raw = encoded(Image.fromarray(LEVELS.astype(">u2")), "TIFF")
        assert raw[:2] == b"MM"
    else:
        raw = encoded(Image.fromarray(LEVELS), kind)
    assert [levels.tolist() for levels in pixels(raw)[0].T] == [IN_8_BITS] * 3


def test_the_transparent_level_of_16_bit_grey_is_white() -> None:
    """The transparency is a level of 16 bits, so its neighbours, which look the same in 8 bits, are not."""
    rows = b"\0" + struct.pack(">4H", 1000, 1001, 0, 65535)
    assert pixels(png(4, 1, 16, 0, rows, chunk(b"tRNS", struct.pack(">H", 1000))))[0, :, 0].tolist() == [255, 4, 0, 255]


def test_16_bit_colours_keep_their_high_byte() -> None:
    """16-bit RGB, and grey with alpha, are read with 8 bits."""
    rgb = png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 7 * 257, 65535, 1000, 0, 128 * 257, 255))
    assert pixels(rgb)[0].tolist() == [[7, 255, 3], [0, 128, 0]]
    grey = png(2, 1, 16, 4, b"\0" + struct.pack(">4H", 7 * 257, 65535, 7 * 257, 0))
    assert pixels(grey)[0].tolist() == [[7, 7, 7], [255, 255, 255]]


@pytest.mark.parametrize(
    ("inks", "colour"), [((0, 255, 255, 0), (255, 0, 0)), ((255, 0, 255, 0), (0, 255, 0)), ((0, 0, 0, 255), (0, 0, 0))]
)
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted(kind: str, inks: tuple[int, ...], colour: tuple[int, ...]) -> None:
    """Printing inks give the colours they print, not their negatives, as Adobe's inverted JPEG files would."""
    read = pixels(encoded(Image.new("CMYK", (8, 8), inks), kind))
    assert np.abs(read - colour).max() <= 3


# Which way up


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def tiff_with_both(image: Image.Image, orientation: int) -> bytes:
    """Return a TIFF as photo editors write it, with the tag and the same in XMP."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112], tags[700] = orientation, XMP % orientation
    return encoded(image, "TIFF", tiffinfo=tags)


FILES: dict[str, Callable[[Image.Image, int], bytes]] = {
    "PNG": lambda image, o: encoded(image, exif=tagged(o)),
    "WebP": lambda image, o: encoded(image, "WEBP", lossless=True, exif=tagged(o)),
    "WebP by XMP": lambda image, o: encoded(image, "WEBP", lossless=True, xmp=XMP % o),
    "TIFF": lambda image, o: encoded(image, "TIFF", exif=tagged(o)),
    "TIFF by libtiff": lambda image, o: encoded(image, "TIFF", exif=tagged(o), compression="tiff_lzw"),
    "TIFF of two pages": lambda image, o: encoded(
        image, "TIFF", exif=tagged(o), save_all=True, append_images=[image.rotate(90)]
    ),
    "TIFF with XMP": tiff_with_both,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", FILES)
def test_orientation_is_applied_once(orientation: int, kind: str) -> None:
    """An image stored turned, with the tag that says so, is read upright, also where Pillow turns it by itself."""
    upright = np.asarray(draw("discs", 5))
    raw = FILES[kind](Image.fromarray(np.ascontiguousarray(stored(upright, orientation))), orientation)
    assert np.array_equal(pixels(raw), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_upright(orientation: int) -> None:
    """A JPEG with an orientation looks like what was drawn; its pixels are those without the tag, turned."""
    upright = np.asarray(draw("discs", 5, (48, 64)))
    image = Image.fromarray(np.ascontiguousarray(stored(upright, orientation)))
    read = pixels(encoded(image, "JPEG", quality=95, exif=tagged(orientation)))
    assert np.array_equal(stored(read, orientation), pixels(encoded(image, "JPEG", quality=95)))
    assert np.abs(read - upright).mean() < 10


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    """Cameras without a sensor for it write 0."""
    image = draw("discs", 6)
    assert np.array_equal(pixels(encoded(image, exif=tagged(orientation))), np.asarray(image))


def test_16_bit_grey_is_turned_too() -> None:
    """The orientation holds for images that are converted here as well."""
    upright = np.arange(24, dtype=np.uint16).reshape(4, 6) * 257
    raw = encoded(Image.fromarray(np.ascontiguousarray(stored(upright, 6))), exif=tagged(6))
    assert np.array_equal(pixels(raw)[..., 0], upright // 257)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")  # which reads EXIF, and complains
@pytest.mark.parametrize(
    "exif", [b"MM\0*\xff\xff\xff\xff", b"II*\0", b"", b"\xff" * 40, b"MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03", bytes(64)]
)
def test_damaged_exif_does_not_make_a_photo_unreadable(exif: bytes) -> None:
    """EXIF data that cannot be parsed count as upright."""
    image = draw("discs", 6)
    damaged = encoded(image, "JPEG", exif=b"Exif\0\0" + exif)
    assert np.array_equal(pixels(damaged), pixels(encoded(image, "JPEG")))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")
def test_an_orientation_before_the_damage_counts() -> None:
    """The intact part of truncated EXIF data is used."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    raw = encoded(draw("discs", 6), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05" + entry + b"\x01")
    assert decode_rgb(raw).size == (40, 48)


# Which picture


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_the_first_frame_is_read(kind: str) -> None:
    """This holds for animations, files of several pages, and pairs of images from a camera."""
    first, second = Image.new("RGB", (16, 16), (250, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 250))
    raw = encoded(first, kind, save_all=True, append_images=[second])
    assert frame_count(open_image(raw)) == 2
    assert np.abs(pixels(raw) - [250, 0, 0]).max() < 5


def test_a_jpeg_without_jfif_header_is_fine() -> None:
    """A photo is not judged by its APP0 marker."""
    raw = encoded(draw("discs", 7), "JPEG")
    assert raw[2:4] == b"\xff\xe0"
    length = struct.unpack(">H", raw[4:6])[0]
    assert np.array_equal(pixels(raw[:2] + raw[4 + length :]), pixels(raw))


def test_what_follows_an_image_does_not_matter() -> None:
    """Phones append a film to a photo, and downloads end in stray bytes."""
    for kind in ("JPEG", "PNG", "GIF"):
        raw = encoded(draw("discs", 7), kind)
        assert np.array_equal(pixels(raw + bytes(range(256)) * 20), pixels(raw))


def test_the_content_decides_not_the_name() -> None:
    """Bytes carry no name: a PNG called .jpg is read as the PNG that it is."""
    for kind in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"):
        assert open_image(encoded(draw("discs", 7), kind)).format == kind


# What is refused


@pytest.mark.parametrize("kind", WHOLE)
@given(cut=st.floats(0, 0.95))
@settings(max_examples=20, deadline=None)
def test_half_an_image_is_refused(kind: str, cut: float) -> None:
    """A truncated download is refused, however much of it there is."""
    raw = WHOLE[kind]
    with pytest.raises(UnreadableImage):
        decode_rgb(raw[: int(cut * len(raw))])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "the file is empty"),
        (b"no image at all", "is not a readable JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF, JPEG 2000 or PPM image"),
        (bytes(1000), "is not a readable JPEG, PNG"),
        (encoded(draw("discs", 8), "ICO"), "is an icon of several images: save it as PNG"),
        (WHOLE["JPEG"][:900], "cannot be decoded: image file is truncated"),
        (encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "32 bits .mode F.*save it with 8 or 16"),
        (encoded(Image.fromarray(np.zeros((4, 4), np.int32)), "TIFF"), "has levels with a sign.*from 0 on"),
        (encoded(Image.fromarray(np.zeros((4, 4), np.uint32).astype("<u4")), "TIFF"), "32 bits|with a sign"),
        (b"Pf\n4 4\n-1.0\n" + bytes(64), "32 bits .mode F.*save it with 8 or 16"),
        (png(0, 5, 8, 2, b""), "is a damaged image|declares 0x5"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, reason: str) -> None:
    """Empty, foreign, truncated, float and 32-bit files are refused with the reason, in one line."""
    with pytest.raises(UnreadableImage, match=reason) as caught:
        decode_rgb(raw)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(7_100, 7_100), (16_000, 16_000)])
def test_a_bomb_is_refused_by_its_header(kind: str, size: tuple[int, int]) -> None:
    """An image that declares more than 50 million pixels is refused for that, not for the pixels that it lacks."""
    with pytest.raises(UnreadableImage, match="declares"):
        decode_rgb(declaring(kind, *size))


def test_a_frame_larger_than_its_screen_counts() -> None:
    """A GIF cannot hide a large frame behind a small canvas."""
    raw = bytearray(encoded(Image.new("P", (4, 4), 1), "GIF"))
    struct.pack_into("<HH", raw, raw.index(b"\x2c\0\0\0\0") + 5, 8_000, 8_000)
    with pytest.raises(UnreadableImage, match="declares 8000x8000"):
        decode_rgb(bytes(raw))


def test_the_limit_is_named_and_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says how; what was refused is read then, and Pillow's own limit does not stand in the way."""
    raw = png(100, 100, 1, 0, bytes(100 * 14))
    monkeypatch.setenv("FEATSTORE_MAX_PIXELS", "9999")
    with pytest.raises(UnreadableImage, match=r"limit is 0.009999 million; \$FEATSTORE_MAX_PIXELS raises it"):
        decode_rgb(raw)
    monkeypatch.setenv("FEATSTORE_MAX_PIXELS", "10000")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pinned():
        assert decode_rgb(raw).size == (100, 100)


@pytest.mark.parametrize("value", ["many", "0", "-5", "1e9"])
def test_a_limit_that_is_not_a_number_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets it expects it to count."""
    monkeypatch.setenv("FEATSTORE_MAX_PIXELS", value)
    with pytest.raises(UsageError, match=f"FEATSTORE_MAX_PIXELS={value}: expected a whole number above 0"):
        decode_rgb(WHOLE["PNG"])


def test_50_million_pixels_are_read() -> None:
    """The largest photo that the limit lets through comes out whole."""
    side = 7_000
    assert decode_rgb(png(side, side, 1, 0, bytes(side * (1 + -(-side // 8))))).size == (side, side)


def test_no_switch_of_pillow_opens_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that has taken away Pillow's own limit is still held to 50 million pixels."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(UnreadableImage, match="declares 60000x60000 pixels, the limit is 50 million"):
        decode_rgb(declaring("PNG", 60_000, 60_000))


MUTATED = st.tuples(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    st.floats(0.3, 1),
)


@given(MUTATED)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_an_image_or_a_reason(mutated: tuple[str, list[tuple[float, int]], float]) -> None:
    """No other exception than UnreadableImage comes out of damaged files, and no image without pixels."""
    kind, changes, cut = mutated
    raw = bytearray(WHOLE[kind])
    for place, value in changes:
        raw[int(place**3 * len(raw))] = value  # more of them near the header
    try:
        image = decode_rgb(bytes(raw[: int(cut * len(raw))]))
    except UnreadableImage as error:
        assert str(error)
    else:
        assert image.mode == "RGB"
        assert np.asarray(image).size > 0


# Memory and threads

MEASURE = """
import resource, sys
from helpers.encoded import png
from featstore.images.decode import decode_rgb

def blank(side):
    depth, colour, samples = map(int, sys.argv[1:])
    return png(side, side, depth, colour, bytes(side * (1 + side * samples * depth // 8)))

def peak(raw):
    decode_rgb(raw)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

small, large = blank(8), blank(3000)
print((-peak(small) + peak(large)) / 3000**2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the unit of ru_maxrss is another")
@pytest.mark.parametrize(("form", "limit"), [((8, 2, 3), 5), ((8, 6, 4), 9), ((8, 4, 2), 13), ((16, 0, 1), 10)])
def test_decoding_takes_a_few_bytes_per_pixel(form: tuple[int, int, int], limit: float) -> None:
    """The limit of 50 million pixels is 0.2 GB for RGB, 0.4 with alpha and at most 0.65 for any PNG."""
    command = [sys.executable, "-c", MEASURE, *map(str, form)]
    measured = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert float(measured.stdout) < limit


FIRST_USE = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from helpers.encoded import WHOLE, pixels

start = threading.Barrier(16)

def read(number):
    start.wait()
    return pixels(WHOLE[kinds[number % len(kinds)]]).tobytes()

kinds = sorted(WHOLE, reverse=True)
with ThreadPoolExecutor(16) as pool:
    for number, found in enumerate(pool.map(read, range(16))):
        assert found == pixels(WHOLE[kinds[number % len(kinds)]]).tobytes()
"""


def test_threads_may_start_together() -> None:
    """Pillow loads its formats when they are first met; 16 threads that meet them at once read right pixels."""
    finished = subprocess.run([sys.executable, "-c", FIRST_USE], env=environment(), capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_the_same_bytes_are_the_same_pixels_in_every_thread() -> None:
    """Eight threads that read many images at once mix nothing up."""
    expected = {kind: pixels(raw).tobytes() for kind, raw in WHOLE.items()}
    kinds = sorted(WHOLE) * 40
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda kind: pixels(WHOLE[kind]).tobytes(), kinds))
    assert found == [expected[kind] for kind in kinds]
