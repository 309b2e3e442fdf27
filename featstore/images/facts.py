"""Facts about an image file that a network does not see, and its look in a few numbers."""

from __future__ import annotations

from typing import NamedTuple


class ImageFacts(NamedTuple):
    """What is known of a file without knowing what it shows.

    Attributes:
        format: Format of the file, such as `JPEG`.
        mode: Mode of its pixels as Pillow names it, such as `RGB` or `L`.
        width, height: Size of the upright image in px.
        bytes: Size of the file.
        quality: Quality of a JPEG, 1 to 100, estimated from its quantization tables; None for other formats.
        camera: Maker and model as the file says them; None if it does not.
        mean: Mean brightness, 0 to 255.
        low, high: Brightness that 1 % and 99 % of the pixels do not exceed, 0 to 255.
        sharpness: Logarithm of the variance of the Laplacian of the brightness, at most 256 px on the long side.
        white_border, black_border: Share of the outermost pixels that are white or black, 0 to 1.
    """

    format: str
    mode: str
    width: int
    height: int
    bytes: int
    quality: int | None
    camera: str | None
    mean: float
    low: float
    high: float
    sharpness: float
    white_border: float
    black_border: float
