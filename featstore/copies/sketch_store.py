"""The sketches that were made before, kept in the cache by the digests of the files. Losing them costs only time.

Sketches that were made together are one file, named by the SHA-256 of its bytes. It is written whole and never changed,
so several processes may add files at once. Its first line is JSON: which images it holds, and the facts about them;
then comes the brightness of one image after the other. The first lines tell which files are needed, and a file that is
needed is compared with its name before anything in it counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from featstore.copies.sketch import SIDE, Sketch
from featstore.errors import StoreError
from featstore.images.facts import ImageFacts
from featstore.system.files import open_regular, read_regular, remove, write_whole

AT_ONCE = 1000  # sketches in a file: 10 MB
_FORMAT = 1  # to be raised with every change of `make_sketch` or of `facts_of`: files of another number do not count
_BYTES = SIDE * SIDE


class SketchStore:
    """The sketches in one folder of the cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, digests: Collection[str]) -> dict[str, Sketch]:
        """Return those of the sketches of `digests` (hex) that are kept. A damaged file is removed."""
        found: dict[str, Sketch] = {}
        for file in sorted(self.folder.glob("*.sketches")):
            if any(digest in digests and digest not in found for digest in _listed(file)):
                found |= {digest: sketch for digest, sketch in _sketches(file) if digest in digests}
        return found

    def add(self, sketches: Mapping[str, Sketch]) -> None:
        """Keep `sketches` by digest. A cache that cannot be written is not an error: only time is lost."""
        items = list(sketches.items())
        with suppress(StoreError):
            for start in range(0, len(items), AT_ONCE):
                some = dict(items[start : start + AT_ONCE])
                images = [[digest, sketch.pixels, sketch.facts._asdict()] for digest, sketch in some.items()]
                head = json.dumps({"format": _FORMAT, "images": images}).encode()
                data = b"\n".join([head, b"".join(sketch.grey.tobytes() for sketch in some.values())])
                write_whole(self.folder / f"{hashlib.sha256(data).hexdigest()}.sketches", data)


def _listed(file: Path) -> list[str]:
    """Return the digests that a file claims to hold; none if it is of another format or cannot be read."""
    try:
        with open_regular(file)[0] as opened:
            return [digest for digest, *_ in _images(opened.readline())]
    except (OSError, ValueError):
        return []


def _sketches(file: Path) -> Iterator[tuple[str, Sketch]]:
    """Yield what a file holds, by digest; nothing if it is damaged, and then it is removed."""
    try:
        data, _ = read_regular(file)
    except OSError:
        return
    if file.stem != hashlib.sha256(data).hexdigest():
        with suppress(StoreError):
            remove(file)
        return
    head, _, greys = data.partition(b"\n")
    try:
        images = [(digest, ImageFacts(**facts), pixels) for digest, pixels, facts in _images(head)]
        # A copy of the file's bytes: one image of a data set must not hold on to those of all others.
        pixels_of = np.frombuffer(greys, np.uint8).reshape(len(images), SIDE, SIDE)
    except (ValueError, TypeError):
        return  # the digest is not a signature: anyone who may write here can make one
    for (digest, facts, pixels), grey in zip(images, pixels_of, strict=True):
        yield digest, Sketch(grey, facts, pixels)


def _images(head: bytes) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (digest, digest of the pixels, facts) of each image; raises ValueError for what is no such line."""
    try:
        kept = json.loads(head)
        if kept["format"] != _FORMAT:
            return []
        return [(str(digest), str(pixels), dict(facts)) for digest, pixels, facts in kept["images"]]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("no list of sketches") from error
