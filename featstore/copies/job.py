"""The search for copies: byte for byte, with the same pixels, or near."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from featstore.copies.groups import Match, SamePictures, most_alike_first
from featstore.copies.sketch import Sketch
from featstore.copies.sketching import sketch_all
from featstore.datasets.manifest import Manifest
from featstore.extraction.cache import Cache
from featstore.extraction.plan import Plan

if TYPE_CHECKING:
    from featstore.system.progress import Progress

THRESHOLD = 0.85


def find_copies(
    manifest: Manifest, plans: Sequence[Plan], cache: Cache, progress: Progress | None = None
) -> tuple[Mapping[str, Sketch], SamePictures]:
    """Return the sketch of each image of `manifest` by digest, and which of them are the same picture.

    plans: their features, which are in `cache`; the first one is used. A file that was changed or removed since its
    features were made has no sketch, and no copies but those byte for byte.
    """
    sketches = sketch_all(manifest.pictures, cache, progress)
    return sketches, SamePictures(most_alike_first(_same_pixels(sketches)), THRESHOLD)


def _same_pixels(sketches: Mapping[str, Sketch]) -> Iterator[Match]:
    """Yield a match of each file with the first one of the same pixels."""
    first: dict[str, str] = {}
    for digest, sketch in sketches.items():
        if sketch.pixels and first.setdefault(sketch.pixels, digest) != digest:
            yield Match(first[sketch.pixels], digest, "pixels", 1.0)
