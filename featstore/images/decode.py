"""Decoding with Pillow: from the bytes of an image file to an upright RGB image, transparency on white.

Files may be hostile, so `open_image` checks the header first. What passes is small enough to decode.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from featstore.errors import UnreadableImage
from featstore.images.jpeg2000 import jp2_declares_alpha
from featstore.images.kinds import is_heic, reason_not_read
from featstore.images.levels import Brightest
from featstore.images.tiff import check_tiff, read_tags
from featstore.system.limits import PIXELS_VARIABLE, max_pixels

MAX_SCANS = 100  # the limit of libtiff for the JPEG data in a TIFF
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM")
_ORIENTATION = 0x0112  # EXIF 2.32, section 4.6.4: how to turn the stored image upright
_TILE_SIDES = 0x0142, 0x0143  # TIFF 6.0, section 15
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # JPEG markers followed by a length, and start and end of image
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
_ON_ITS_SIDE = 5, 6, 7, 8  # values of the orientation
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

ScaledTo = Callable[[tuple[int, int]], tuple[int, int]]


def open_image(raw: bytes) -> Image.Image:
    """Return the image with its header checked and its pixels not yet decoded; raise UnreadableImage."""
    if not raw:
        raise UnreadableImage("the file is empty")
    formats = _heic_formats() if is_heic(raw) else FORMATS
    try:
        image = Image.open(BytesIO(raw), formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(f"declares more pixels than Pillow's limit; ${PIXELS_VARIABLE} raises it") from error
    except UnidentifiedImageError as error:
        raise UnreadableImage(reason_not_read(raw)) from error
    except Exception as error:  # on hostile bytes a plug-in may raise any exception
        raise UnreadableImage(_reason(error)) from error
    _check_header(image, raw)
    return image


def _heic_formats() -> tuple[str, ...]:
    """Return the format of pillow-heif; raise UnreadableImage if it is not installed."""
    try:
        import pillow_heif
    except ImportError as error:
        raise UnreadableImage(
            "is a HEIC photo: `pip install featstore-keras[heic]` reads it, or save it as JPEG"
        ) from error
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _check_header(image: Image.Image, raw: bytes) -> None:
    """Raise UnreadableImage for what would take too much memory or time, or has no right reading."""
    (width, height), limit = image.size, max_pixels()
    so_many = f"{limit / 1e6:.4g} million; ${PIXELS_VARIABLE} raises it"
    if width * height > limit:
        raise UnreadableImage(f"declares {width}x{height} pixels, the limit is {so_many}")
    if width * height == 0:
        raise UnreadableImage(f"declares {width}x{height} pixels")
    if image.format in ("JPEG", "MPO") and _count_scans(raw) > MAX_SCANS:
        raise UnreadableImage(f"has more than {MAX_SCANS} scans, each a pass over all pixels")
    if image.format == "TIFF":
        if _tile_pixels(image) > limit:
            raise UnreadableImage(f"declares tiles of more pixels than the limit, {so_many}")
        check_tiff(image)


def _count_scans(raw: bytes) -> int:
    """Return the number of passes over all pixels of the JPEG in `raw`.

    14 bytes suffice for one scan; encoders make about ten. Walking from segment to segment leaves out thumbnails inside
    and films after the image.
    """
    scans, place = 0, 2
    while found := _MARKER.search(raw, place):
        if found[0] == _END_OF_IMAGE:
            break
        scans += found[0] == _START_OF_SCAN
        place = found.end() + int.from_bytes(raw[found.end() : found.end() + 2], "big")
    return scans


def _tile_pixels(image: Image.Image) -> int:
    """Return the pixels of a TIFF's tile, 0 without tiles. libtiff allocates a whole one, however small the image."""
    width, height = (getattr(image, "tag_v2", {}).get(tag, 0) for tag in _TILE_SIDES)
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def frame_count(image: Image.Image) -> int:
    """Return the number of frames of an animation without decoding them; raise UnreadableImage."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception as error:  # as above
        raise UnreadableImage(_reason(error)) from error


def decode_rgb(raw: bytes, bits: int = 16, scaled_to: ScaledTo | None = None) -> Image.Image:
    """Return the first frame as an upright RGB image of 8 bits; raise UnreadableImage with the reason.

    bits: how many bits grey images of 16 bits use. scaled_to: returns the (width, height) that an upright image of that
    (width, height) is scaled to afterwards; a JPEG is then decoded at the smallest part of its size that is at least as
    large, which skips most of the work. `load` decodes every pixel, where `verify` would accept a truncated JPEG.
    """
    image = open_image(raw)
    declares_alpha = _declares_alpha(image, raw)
    try:
        if scaled_to is not None and image.format in ("JPEG", "MPO"):
            lies_on_its_side = _orientation(image) in _ON_ITS_SIDE
            upright = image.size[::-1] if lies_on_its_side else image.size
            needed = scaled_to(upright)
            image.draft(None, needed[::-1] if lies_on_its_side else needed)
        image.load()
        rgb, turn = _to_rgb(image, declares_alpha, bits), _TURNS.get(_orientation(image))
        return rgb if turn is None else rgb.transpose(turn)
    except UnreadableImage:
        raise
    except Exception as error:  # as above
        raise UnreadableImage(_reason(error)) from error


def turned_upright(raw: bytes, cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `cells` (rows, columns) of the image as stored in `raw` as those of the upright one."""
    turn = _TURNS.get(_orientation(open_image(raw)))
    return cells if turn is None else np.asarray(Image.fromarray(cells).transpose(turn))


def upright_size(raw: bytes) -> tuple[int, int]:
    """Return the (width, height) of the upright image, without decoding it; raise UnreadableImage."""
    image = open_image(raw)
    lies_on_its_side = _orientation(image) in _ON_ITS_SIDE
    return (image.height, image.width) if lies_on_its_side else (image.width, image.height)


def brightest_level(raw: bytes) -> Brightest | None:
    """Return the brightest level as it is stored, if the image declares 16 bits; None for other images.

    Of colours Pillow keeps the upper 8 bits, so theirs is the highest level that it can be.
    """
    image = open_image(raw)
    grey, colour = _is_grey_16(image), _is_colour_16(image)
    if not (grey or colour) or (grey and _declared_white(image) is not None):
        return None
    try:
        image.load()
        if grey:
            return Brightest(int(np.asarray(image).max()), grey=True)
        return Brightest(int(np.asarray(image)[..., :3].max()) * 256 + 255, grey=False)
    except Exception as error:  # as above
        raise UnreadableImage(_reason(error)) from error


def _declares_alpha(image: Image.Image, raw: bytes) -> bool:
    """Whether a band beyond the colours is alpha. TIFF and JPEG 2000 may have bands of any meaning."""
    if image.format == "TIFF":
        return read_tags(image).has_alpha
    return image.format != "JPEG2000" or jp2_declares_alpha(raw)


def _to_rgb(image: Image.Image, declares_alpha: bool, bits: int) -> Image.Image:
    if _is_grey_16(image):
        return _from_16_bit(image, bits)
    if image.mode in ("F", "I"):
        raise UnreadableImage(f"pixels of 32 bits (mode {image.mode}) have no defined range: save it with 8 or 16 bits")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    if not declares_alpha:
        return Image.merge("RGB", (image.split()[:-1] * 3)[:3])
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba)  # the same pixels as with `alpha_composite`, in half the memory
    return white


def _is_grey_16(image: Image.Image) -> bool:
    """Whether its levels go up to 65,535. Pillow holds those of a PGM in 32 bits, scaled from the maximum declared."""
    return image.mode.startswith("I;16") or (image.format, image.mode) == ("PPM", "I")


def _is_colour_16(image: Image.Image) -> bool:
    """Whether a PNG or TIFF, not yet loaded, has colours of 16 bits, or grey with alpha, which Pillow holds as RGBA."""
    bands = image.mode in ("RGB", "RGBA") and image.format in ("PNG", "TIFF")
    return bands and any(";16" in str(tile.args) for tile in image.tile)  # type: ignore[attr-defined]


def _declared_white(image: Image.Image) -> int | None:
    """Return the level of white in a grey image of 16 bits where the file declares another depth; else None.

    Pillow scales what PGM and JPEG 2000 declare to 16 bits, and leaves 12 bits of a TIFF as they are.
    """
    if image.format == "TIFF" and read_tags(image).bits == 12:
        return 2**12 - 1
    return 2**16 - 1 if image.format in ("PPM", "JPEG2000") else None


def _from_16_bit(image: Image.Image, bits: int) -> Image.Image:
    """Convert grey of 16 bits by division, rounded. Pillow's own conversion clips all levels above 255 to white."""
    levels = np.asarray(image)
    white = _declared_white(image) or 2**bits - 1
    if levels.max() > white:
        raise UnreadableImage(f"has levels up to {levels.max()}, and {bits} bits end at {white}")
    scaled = levels.astype(np.uint32)
    if image.format == "TIFF" and read_tags(image).white_is_zero:
        scaled = white - scaled
    scaled *= 255
    scaled += white // 2
    scaled //= white
    grey = scaled.astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[levels == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8. Damaged EXIF data count as upright, since the pixels may still be whole."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - on hostile bytes the parser may raise any exception
        return 1


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"cannot be decoded: {text}"
