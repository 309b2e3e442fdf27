"""Sketching: makes the sketches that are not kept yet, in threads, and keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from featstore.copies.sketch import Sketch, make_sketch
from featstore.copies.sketch_store import AT_ONCE, SketchStore
from featstore.datasets.manifest import Picture
from featstore.errors import DataError
from featstore.extraction.cache import SKETCHES, Cache
from featstore.images.prefetch import WINDOW, read_again
from featstore.images.read_ahead import Load, map_files
from featstore.system.environment import default_threads
from featstore.system.progress import Progress


def sketch_all(pictures: Sequence[Picture], cache: Cache, progress: Progress | None = None) -> dict[str, Sketch]:
    """Return the sketch of each of `pictures` by digest, those that are not in `cache` made from the files.

    A file that was changed or removed since it was read has none. Raises DataError for one that was never read.
    """
    store = SketchStore(cache.local / SKETCHES)
    first = {picture.digest: picture for picture in reversed(pictures)}
    sketches = store.read(first.keys())
    missing = [picture for digest, picture in first.items() if digest not in sketches]
    on_step = progress.steps("looking for copies", "images") if progress and missing else None
    for start in range(0, len(missing), AT_ONCE):  # so that a killed run keeps what it has made
        some = missing[start : start + AT_ONCE]
        made: dict[str, Sketch] = {}
        try:
            with closing(map_files(some, _sketch, default_threads(), WINDOW)) as found:
                for number, (picture, sketch) in enumerate(zip(some, found, strict=True), start=1):
                    if sketch is not None:
                        made[picture.digest] = sketch
                    if on_step:
                        on_step(start + number, len(missing))
        finally:  # an interrupted run keeps what it has made, and does not wait for the rest
            store.add(made)
        sketches |= made
    return {digest: sketches[digest] for digest in first if digest in sketches}


def _sketch(picture: Picture, load: Load) -> Sketch | None:
    try:
        return make_sketch(read_again(picture, load))
    except DataError:
        return None
