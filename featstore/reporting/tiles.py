"""Thumbnails as a style sheet: the sprites as data, and a class for each column and row of tiles."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featstore.reporting.thumbnails import Sprite, Thumbnails

KINDS = ("small", "large", "heat")


def tile_classes(thumbnails: Thumbnails | None, kind: str, path: str) -> str:
    """Return the classes that show the tile of an image, such as `tile small sx3 sy0`; empty if it has none."""
    sprite: Sprite | None = getattr(thumbnails, kind) if thumbnails else None
    if sprite is None or path not in sprite.places:
        return ""
    row, column = divmod(sprite.places[path], sprite.columns)
    return f"tile {kind} {kind[0]}x{column} {kind[0]}y{row}"


def tile_styles(thumbnails: Thumbnails | None) -> str:
    """Return the rules for these classes. A tile fills its element, whatever the size of that is."""
    if thumbnails is None:
        return ""
    sprites = {kind: getattr(thumbnails, kind) for kind in KINDS}
    return "\n".join(rule for kind, sprite in sprites.items() if sprite.places for rule in _rules(kind, sprite))


def _rules(kind: str, sprite: Sprite) -> Iterator[str]:
    rows = -(-len(sprite.places) // sprite.columns)
    data = b64encode(sprite.webp).decode()
    size = f"{sprite.columns}00% {rows}00%"
    yield f".{kind}{{background-image:url(data:image/webp;base64,{data});background-size:{size}}}"
    for axis, number in (("x", sprite.columns), ("y", rows)):
        for place in range(number):
            share = 100 * place / max(1, number - 1)
            yield f".{kind[0]}{axis}{place}{{background-position-{axis}:{share:.4f}%}}"
