"""What the script of the page knows: every image, with its texts as they are shown. It computes no figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featstore.reporting.content import Content
from featstore.reporting.escaping import legible
from featstore.reporting.tiles import KINDS
from featstore.system.figures import figure

if TYPE_CHECKING:
    from featstore.reporting.thumbnails import Thumbnails


def page_data(content: Content, thumbnails: Thumbnails | None, classes: Sequence[str]) -> dict[str, Any]:
    """Return plain JSON values: a list for each field of the images, which keeps the page small.

    Classes and splits are numbers of `classes` and `splits`; -1 stands for none.
    """
    images = content.images
    splits = list(dict.fromkeys(image.split for image in images if image.split is not None))
    number = {name: place for place, name in enumerate(classes)}
    return {
        "title": legible(content.title),
        "classes": [legible(name) for name in classes],
        "splits": [legible(name) for name in splits],
        "path": [legible(image.path) for image in images],
        "label": [-1 if image.label is None else number[image.label] for image in images],
        "answer": [number[image.answer] for image in images],
        "split": [-1 if image.split is None else splits.index(image.split) for image in images],
        "probability": [figure(image.probability) for image in images],
        "ofLabel": ["" if image.of_label is None else figure(image.of_label) for image in images],
        "answers": [[number[name] for name in image.answers] for image in images],
        "x": [round(image.place[0], 4) for image in images],
        "y": [round(image.place[1], 4) for image in images],
        "tiles": _tiles(content, thumbnails),
    }


def classes_of(content: Content) -> list[str]:
    """Return all classes that the page names: those of the first run, then those that only images have."""
    of_runs = content.runs[0].classes if content.runs else ()
    of_images = (name for image in content.images for name in (image.label, image.answer, *image.answers) if name)
    return list(dict.fromkeys([*of_runs, *of_images]))


def _tiles(content: Content, thumbnails: Thumbnails | None) -> dict[str, Any]:
    """Return the columns of each sprite, and the number of the tile of each image in it; -1 for none."""
    if thumbnails is None:
        return {}
    return {
        kind: {"columns": sprite.columns, "places": [sprite.places.get(image.path, -1) for image in content.images]}
        for kind, sprite in ((kind, getattr(thumbnails, kind)) for kind in KINDS)
        if sprite.places
    }
