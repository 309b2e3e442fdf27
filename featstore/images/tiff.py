"""What a TIFF declares and Pillow does not heed: which level is white, how many bits count, which band is alpha.

By TIFF 6.0, PhotometricInterpretation 0 (WhiteIsZero) holds at any depth, levels of 12 bits end at 4,095, and a band
beyond the colours is alpha only if ExtraSamples says so. MaxSampleValue is not heeded: it is "not to be used to affect
the visual appearance of an image".
"""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

from PIL import Image, TiffImagePlugin

from featstore.errors import UnreadableImage

_SUBFILE, _BITS, _PHOTOMETRIC, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _DNG_VERSION = 254, 258, 262, 338, 339, 50706
_WHITE_IS_ZERO = 0
_ALPHA = {1, 2}  # colours multiplied by it, or not
_SIGNED = 2


class Declared(NamedTuple):
    """What the tags of a TIFF say of its pixels."""

    bits: int
    white_is_zero: bool
    has_alpha: bool
    is_signed: bool
    is_preview: bool


def read_tags(image: Image.Image) -> Declared:
    """Return what a TIFF, opened but not decoded, declares."""

    def numbers(tag: int) -> list[int]:
        value = getattr(image, "tag_v2", {}).get(tag, ())
        return [v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, int)]

    return Declared(
        bits=max(numbers(_BITS), default=1),
        white_is_zero=numbers(_PHOTOMETRIC) == [_WHITE_IS_ZERO],
        has_alpha=not _ALPHA.isdisjoint(numbers(_EXTRA_SAMPLES)),
        is_signed=_SIGNED in numbers(_SAMPLE_FORMAT),
        is_preview=bool(sum(numbers(_SUBFILE)[:1]) & 1 or numbers(_DNG_VERSION)),
    )


def check_tiff(image: Image.Image) -> None:
    """Raise UnreadableImage for what has no right reading: levels with a sign, and a preview in place of the image."""
    declared = read_tags(image)
    if declared.is_preview:
        raise UnreadableImage("is a camera's raw file, of which only the preview could be read: save it as JPEG or PNG")
    if declared.is_signed:
        raise UnreadableImage("has levels with a sign, so its black is not defined: save it with levels from 0 on")


def was_misread(raw: bytes) -> bool:
    """Whether an earlier version made other pixels than this one of the TIFF `raw`, or any where this one refuses."""
    try:
        image = TiffImagePlugin.TiffImageFile(BytesIO(raw))
    except Exception:  # noqa: BLE001 - on hostile bytes the parser may raise any exception; none was ever read
        return False
    declared = read_tags(image)
    is_grey_16 = image.mode.startswith("I;16")
    return (
        (is_grey_16 and (declared.white_is_zero or declared.bits == 12))
        or (image.has_transparency_data and not declared.has_alpha)
        or declared.is_signed
        or declared.is_preview
    )
