"""Facts about an image file that a network does not see, and its look in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from featstore.images.decode import open_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE = 256  # px, where the look is measured: the same picture in two sizes looks the same
WHITE, BLACK = 250, 5  # JPEG moves pure white and black by a few levels
GREY_SPREAD = 8  # levels between the strongest and the weakest channel of a grey pixel, from JPEG's rounding
CAMERA_LENGTH = 64  # letters: a hostile file may hold a megabyte here
_MAKER, _MODEL = 0x010F, 0x0110  # EXIF 2.32, section 4.6.4

# ITU-T T.81, table K.1: the table of brightness that libjpeg scales by the quality.
_STANDARD = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
).ravel()


class ImageFacts(NamedTuple):
    """What is known of a file without knowing what it shows.

    Attributes:
        format: Format of the file, such as `JPEG`.
        mode: Mode of its pixels as Pillow names it, such as `RGB` or `L`.
        width, height: Size of the upright image in px.
        bytes: Size of the file.
        quality: Quality of a JPEG, 1 to 100, estimated from its quantization tables; None for other formats.
        camera: Maker and model as the file says them; None if it does not.
        grey: Whether its pixels have no colour, whatever the mode.
        mean: Mean brightness, 0 to 255.
        low, high: Brightness that 1 % and 99 % of the pixels do not exceed, 0 to 255.
        sharpness: Logarithm of 1 + the variance of the Laplacian of the brightness, at most 256 px on the long side.
        white_border, black_border: Share of the outermost pixels that are white or black, 0 to 1.
    """

    format: str
    mode: str
    width: int
    height: int
    bytes: int
    quality: int | None
    camera: str | None
    grey: bool
    mean: float
    low: float
    high: float
    sharpness: float
    white_border: float
    black_border: float


def facts_of(raw: bytes, image: Image.Image) -> ImageFacts:
    """Return the facts about the file `raw`, of which `image` is the upright RGB image."""
    header = open_image(raw)
    kind = "JPEG" if header.format == "MPO" else str(header.format)  # an MPO is a JPEG with more JPEGs behind it
    light = _brightness(image)
    border = np.concatenate([light[0], light[-1], light[1:-1, 0], light[1:-1, -1]])
    low, high = _levels(light, (0.01, 0.99))
    return ImageFacts(
        format=kind,
        mode=header.mode,
        width=image.width,
        height=image.height,
        bytes=len(raw),
        quality=_quality(header) if kind == "JPEG" else None,
        camera=_camera(header),
        grey=_is_grey(image),
        mean=_rounded(light.mean()),
        low=low,
        high=high,
        sharpness=_rounded(np.log1p(_laplacian(light).var())),
        white_border=_rounded(np.mean(border >= WHITE)),
        black_border=_rounded(np.mean(border <= BLACK)),
    )


def _rounded(value: float | np.floating) -> float:
    """Return `value` as JSON holds it: further digits would say nothing."""
    return round(float(value), 4)


def _brightness(image: Image.Image) -> NDArray[np.uint8]:
    """Return the brightness of the image, made smaller than `MAX_SIDE` if it is larger."""
    light, scale = image.convert("L"), MAX_SIDE / max(image.size)
    if scale < 1:
        size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
        light = light.resize(size, Image.Resampling.BOX)
    return np.asarray(light)


def _levels(light: NDArray[np.uint8], shares: Sequence[float]) -> list[float]:
    """Return for each share the level that so many of the pixels do not exceed."""
    below = np.bincount(light.ravel(), minlength=256).cumsum() / light.size
    return [float(level) for level in np.searchsorted(below, shares)]


def _laplacian(light: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return each pixel's difference to its four neighbours; beyond the edge lies the pixel at the edge."""
    wide = np.pad(light.astype(np.int16), 1, mode="edge")
    return wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] - 4 * wide[1:-1, 1:-1]


def _is_grey(image: Image.Image) -> bool:
    """Whether 99 of 100 pixels, taken from all over the image, have no colour."""
    red, green, blue = (np.asarray(band) for band in image.resize((64, 64), Image.Resampling.NEAREST).split())
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return bool(np.mean(spread <= GREY_SPREAD) >= 0.99)


def _quality(header: Image.Image) -> int | None:
    """Return the quality whose standard table lies nearest to the table of brightness; None without a table.

    Exact for libjpeg and all that scale the standard tables as it does. Cameras and Photoshop have tables of their own.
    """
    tables = getattr(header, "quantization", {})
    table = np.asarray(tables[min(tables)]) if tables else np.empty(0)
    if len(table) != len(_STANDARD):
        return None
    return int(np.abs(_tables_of_qualities() - table).sum(axis=1).argmin()) + 1


@lru_cache(maxsize=1)
def _tables_of_qualities() -> NDArray[np.int64]:
    """Return the table (100, 64) of each quality from 1 to 100, as libjpeg scales it."""
    quality = np.arange(1, 101)[:, None]
    percent = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((_STANDARD * percent + 50) // 100).clip(1, 255)


def _camera(header: Image.Image) -> str | None:
    """Return maker and model of the camera, without what cannot be printed; None if the file names none."""
    if header.format == "PNG" and "exif" not in header.info:
        return None  # Pillow would decode all pixels, as EXIF data may come behind them
    try:
        exif = header.getexif()
        maker, model = (_printable(exif.get(tag)) for tag in (_MAKER, _MODEL))
    except Exception:  # noqa: BLE001 - on hostile bytes the parser may raise any exception
        return None
    camera = model if model.casefold().startswith(maker.casefold()) else f"{maker} {model}"
    return camera.strip()[:CAMERA_LENGTH] or None


def _printable(value: object) -> str:
    """Return a text of EXIF data in one line; empty for other values."""
    text = value[:CAMERA_LENGTH] if isinstance(value, str) else ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
