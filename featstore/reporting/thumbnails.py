"""Thumbnails: all pictures of one size in one file, so that a page of a thousand images is small and loads at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from io import BytesIO
from math import ceil, sqrt
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import Picture
from featstore.errors import DataError, UnreadableImage
from featstore.images.prefetch import WINDOW, read_again
from featstore.images.read_ahead import Load, map_files
from featstore.system.environment import default_threads

if TYPE_CHECKING:
    from PIL import Image

    from featstore.explanation.result import Explanation
    from featstore.system.progress import Progress

SMALL, LARGE = 64, 160  # px
_QUALITIES = 70, 50, 30, 10
_MOST_SMALL, _MOST_LARGE = 1_600_000, 700_000  # bytes of a sprite; a page has a third more of each, as base64


class Sprite(NamedTuple):
    """Square tiles in one image, from left to right and from top to bottom.

    Attributes:
        webp: The image, a WebP whose pixels are transparent where a picture does not fill its tile.
        side: Side of a tile in px.
        columns: Number of tiles in a row.
        places: Number of the tile of each picture, from 0, by `ReportImage.path`.
    """

    webp: bytes
    side: int
    columns: int
    places: Mapping[str, int]


class Thumbnails(NamedTuple):
    """The pictures of a page.

    Attributes:
        small: All images, 64 px.
        large: Those that are listed, 160 px.
        heat: Those that are explained, 160 px, with their heat maps.
        unreadable: Why an image has no tile, by `ReportImage.path`: its file is gone, or was changed.
    """

    small: Sprite
    large: Sprite
    heat: Sprite
    unreadable: Mapping[str, str]


class _Tiles(NamedTuple):
    """The tiles of one image; None for those that it does not need."""

    small: Image.Image
    large: Image.Image | None
    heat: Image.Image | None


def make_thumbnails(
    pictures: Mapping[str, Picture],
    listed: Collection[str],
    explanations: Mapping[str, Explanation],
    progress: Progress | None = None,
) -> Thumbnails:
    """Return the thumbnails of `pictures`, which are given by the paths that the page names them by.

    listed: paths of those that are shown large. explanations: heat maps by path; these images are shown large, too.
    """
    on_step = progress.steps("thumbnails", "images") if progress else None
    found: dict[str, _Tiles] = {}
    unreadable: dict[str, str] = {}
    wanted = {*listed, *explanations}
    names = {picture.path: path for path, picture in pictures.items()}

    def work(picture: Picture, load: Load) -> _Tiles | str:
        path = names[picture.path]
        return _tiles(picture, load, path in wanted, explanations.get(path))

    made = map_files(pictures.values(), work, default_threads(), WINDOW)
    for number, (path, tiles) in enumerate(zip(pictures, made, strict=True)):
        if isinstance(tiles, str):
            unreadable[path] = tiles
        else:
            found[path] = tiles
        if on_step:
            on_step(number + 1, len(pictures))
    return Thumbnails(
        small=_sprite({path: tiles.small for path, tiles in found.items()}, SMALL, _MOST_SMALL),
        large=_sprite({path: tiles.large for path, tiles in found.items() if tiles.large}, LARGE, _MOST_LARGE),
        heat=_sprite({path: tiles.heat for path, tiles in found.items() if tiles.heat}, LARGE, _MOST_LARGE),
        unreadable=unreadable,
    )


def _tiles(picture: Picture, load: Load, is_listed: bool, explanation: Explanation | None) -> _Tiles | str:
    """Return the tiles of an image, or the reason why its file is no longer the image that was measured."""
    from featstore.images.decode import decode_rgb

    try:
        image = decode_rgb(read_again(picture, load))
    except UnreadableImage as error:
        return str(error)
    except DataError:  # the message names a remedy for an extraction
        return "was changed while the report was made"
    large = _tile(image, LARGE) if is_listed else None
    if explanation is None:
        return _Tiles(_tile(image, SMALL), large, None)
    from featstore.explanation.overlay import overlay

    return _Tiles(_tile(image, SMALL), large, _tile(overlay(image, explanation, LARGE), LARGE))


def _tile(image: Image.Image, side: int) -> Image.Image:
    """Return the whole image in the middle of a tile."""
    from PIL import Image, ImageOps

    is_tiny = max(image.size) < side // 2  # such as a digit of 28 pixels, which would be a blur
    how = Image.Resampling.NEAREST if is_tiny else Image.Resampling.LANCZOS
    whole = ImageOps.contain(image.convert("RGB"), (side, side), how)
    tile = Image.new("RGBA", (side, side))
    tile.paste(whole, ((side - whole.width) // 2, (side - whole.height) // 2))
    return tile


def _sprite(tiles: Mapping[str, Image.Image], side: int, most_bytes: int) -> Sprite:
    """Return the tiles side by side, in the best quality that fits into `most_bytes`, or else in the lowest one."""
    from PIL import Image

    columns = max(1, ceil(sqrt(len(tiles))))
    rows = max(1, ceil(len(tiles) / columns))
    sheet = Image.new("RGBA", (columns * side, rows * side))
    for number, tile in enumerate(tiles.values()):
        sheet.paste(tile, (number % columns * side, number // columns * side))
    for quality in _QUALITIES:
        content = BytesIO()
        sheet.save(content, "webp", quality=quality)
        if content.tell() <= most_bytes:
            break
    return Sprite(content.getvalue(), side, columns, {path: number for number, path in enumerate(tiles)})
