"""Decoding with Pillow: from the bytes of an image file to an upright RGB image, transparency on white.

Files may be hostile, so `open_image` checks the header first. What passes is small enough to decode.
"""

from __future__ import annotations

import re
from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from featstore.errors import UnreadableImage

MAX_PIXELS = 50_000_000
MAX_SCANS = 100  # the limit of libtiff for the JPEG data in a TIFF
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
_ORIENTATION = 0x0112  # EXIF 2.32, section 4.6.4: how to turn the stored image upright
_TILE_SIDES = 0x0142, 0x0143  # TIFF 6.0, section 15
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # JPEG markers followed by a length, and start and end of image
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(raw: bytes) -> Image.Image:
    """Return the image with its header checked and its pixels not yet decoded; raise UnreadableImage."""
    if not raw:
        raise UnreadableImage("the file is empty")
    try:
        image = Image.open(BytesIO(raw), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(f"declares more than {MAX_PIXELS / 1e6:.0f} million pixels") from error
    except UnidentifiedImageError as error:
        raise UnreadableImage("is not a readable JPEG, PNG, BMP, GIF, WebP or TIFF image") from error
    except Exception as error:  # on hostile bytes a plug-in may raise any exception
        raise UnreadableImage(_reason(error)) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableImage(f"declares {width}x{height} pixels, the limit is {MAX_PIXELS / 1e6:.0f} million")
    if width * height == 0:
        raise UnreadableImage(f"declares {width}x{height} pixels")
    if image.format in ("JPEG", "MPO") and _count_scans(raw) > MAX_SCANS:
        raise UnreadableImage(f"has more than {MAX_SCANS} scans, each a pass over all pixels")
    if image.format == "TIFF" and _tile_pixels(image) > MAX_PIXELS:
        raise UnreadableImage(f"declares tiles of more than {MAX_PIXELS / 1e6:.0f} million pixels")
    return image


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


def decode_rgb(raw: bytes) -> Image.Image:
    """Return the first frame as an upright RGB image of 8 bits; raise UnreadableImage with the reason.

    `load` decodes every pixel, where `verify` would accept a truncated JPEG.
    """
    image = open_image(raw)
    try:
        image.load()
        rgb, turn = _to_rgb(image), _TURNS.get(_orientation(image))
        return rgb if turn is None else rgb.transpose(turn)
    except UnreadableImage:
        raise
    except Exception as error:  # as above
        raise UnreadableImage(_reason(error)) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_16_bit(image)
    if image.mode in ("F", "I"):
        raise UnreadableImage(f"pixels of 32 bits (mode {image.mode}) have no defined range: save it with 8 or 16 bits")
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(rgba, mask=rgba)  # the same pixels as with `alpha_composite`, in half the memory
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Convert grey of 16 bits by division by 257. Pillow's own conversion clips all levels above 255 to white."""
    levels = np.asarray(image)
    rounded = levels.astype(np.uint32)
    rounded += 128
    rounded //= 257
    grey = rounded.astype(np.uint8)
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
