"""The search for copies: byte for byte, with the same pixels, or near."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from featstore.copies.changes import name_changes
from featstore.copies.groups import THRESHOLD, Match, SamePictures, most_alike_first
from featstore.copies.memory import CopyMemory
from featstore.copies.sketch import Sketch
from featstore.copies.sketching import sketch_all
from featstore.copies.unions import Unions
from featstore.datasets.manifest import Manifest
from featstore.extraction.cache import SKETCHES, Cache
from featstore.extraction.plan import Plan

if TYPE_CHECKING:
    from featstore.system.progress import Progress


def find_copies(
    manifest: Manifest,
    plans: Sequence[Plan],
    cache: Cache,
    progress: Progress | None = None,
    threshold: float = THRESHOLD,
) -> tuple[Mapping[str, Sketch], SamePictures]:
    """Return the sketch of each image of `manifest` by digest, and which of them are the same picture.

    plans: their features, which are in `cache`; the first one is used. A file that was changed or removed since its
    features were made has no sketch, and no copies but those byte for byte. What is found is remembered in `cache`.
    threshold: score from which two images are the same picture; `prove_rule` says whether another one suits them.
    """
    sketches = sketch_all(manifest.pictures, cache, progress)
    known = known_copies(manifest, plans, cache, threshold)
    if known is None:
        matches = most_alike_first(_matches(manifest, sketches, plans, cache, progress, threshold))
        known = SamePictures(matches, threshold)
        digests = {picture.digest for picture in manifest.pictures}
        if sketches.keys() == digests:
            _memory(cache).keep(digests, plans[0].spec.key, threshold, matches)
    return sketches, known


def known_copies(
    manifest: Manifest, plans: Sequence[Plan], cache: Cache, threshold: float = THRESHOLD
) -> SamePictures | None:
    """Return what `find_copies` has found before among the same images by the same features; else None."""
    digests = {picture.digest for picture in manifest.pictures}
    matches = _memory(cache).get(digests, plans[0].spec.key, threshold)
    return None if matches is None else SamePictures(matches, threshold)


def _memory(cache: Cache) -> CopyMemory:
    return CopyMemory(cache.local / SKETCHES)


def _matches(
    manifest: Manifest,
    sketches: Mapping[str, Sketch],
    plans: Sequence[Plan],
    cache: Cache,
    progress: Progress | None,
    threshold: float,
) -> list[Match]:
    from featstore.copies.near import find_near
    from featstore.features.views import load_plain

    digests = sorted(sketches)  # so that the same images have the same copies, in whatever order they come
    same = list(_same_pixels(sketches))
    joined, place = Unions(len(digests)), {digest: number for number, digest in enumerate(digests)}
    for match in same:
        joined.join(place[match.first], place[match.second])
    picture_of = {picture.digest: picture for picture in manifest.pictures}
    X = load_plain([picture_of[digest] for digest in digests], plans[:1], cache)
    on_step = progress.steps("comparing pictures", "pairs") if progress else None
    for near in find_near([sketches[digest] for digest in digests], X, joined, threshold, on_step):
        first, second = digests[near.first], digests[near.second]
        changes = name_changes(near, sketches[first].facts, sketches[second].facts)
        same.append(Match(first, second, "near", near.score, changes))
    return same


def _same_pixels(sketches: Mapping[str, Sketch]) -> Iterator[Match]:
    """Yield a match of each file with the first one of the same pixels."""
    first: dict[str, str] = {}
    for digest in sorted(sketches):
        pixels = sketches[digest].pixels
        if pixels and first.setdefault(pixels, digest) != digest:
            yield Match(first[pixels], digest, "pixels", 1.0)
