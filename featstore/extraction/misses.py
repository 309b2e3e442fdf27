"""Cache misses explained: which features are stored, and why the others are not (`featstore cache explain`).

The request is planned as for an extraction and looked up; nothing is computed. No image is decoded, so a file that is
not an image counts as an image without rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.datasets.sources import as_manifest
from featstore.datasets.splits import complete_splits
from featstore.errors import DataError, StoreError
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.plan import Plan, PlannedRows, make_plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.spec_diff import describe_differences
from featstore.images.prefetch import fetch_all
from featstore.images.views import VIEWS
from featstore.objects.caches import may_be_there
from featstore.objects.urls import Location
from featstore.spec import FeatureSpec
from featstore.store.folders import as_folder, folders_in
from featstore.store.reader import RowReader
from featstore.store.rowid import row_id
from featstore.store.spec_file import read_key_file
from featstore.system.environment import default_threads
from featstore.system.paths import OnePath
from featstore.system.pinned import pinned

Reason = Literal["changed", "views", "known", "new"]


class MissingImage(NamedTuple):
    """An image that lacks rows, and why.

    changed: the file had other bytes when its rows were stored. views: only some of its views are stored. known: an
    extraction has read it, but no row of this key can be read. new: any other image.
    """

    path: str
    why: Reason


@dataclass(frozen=True)
class NearestKey:
    """The stored key with the fewest differences from the request.

    differences: phrases such as "fit crop -> squash", from stored to requested. images: number of images of the data
    that have a row there.
    """

    folder: Location
    differences: tuple[str, ...]
    images: int


@dataclass(frozen=True, kw_only=True)
class CacheLookup:
    """What the cache holds of one set of features.

    stored: number of stored rows, of `images` x `views` that are needed. missing: the images that lack rows.
    key_is_stored: whether the key has any shard, even a damaged one. damaged: a line for each shard of the key that
    cannot be used. nearest: another key of the cache, if the key is not stored.
    """

    recipe: Recipe
    spec: FeatureSpec
    views: tuple[int, ...]
    folder: Location
    images: int
    stored: int
    missing: tuple[MissingImage, ...]
    key_is_stored: bool
    damaged: tuple[str, ...] = ()
    nearest: NearestKey | None = None

    @property
    def rows(self) -> int:
        """The number of rows needed."""
        return self.images * len(self.views)

    @property
    def hit(self) -> bool:
        """Whether an extraction would have nothing to do."""
        return not self.missing

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values, as `featstore cache explain --json` prints them."""
        near = self.nearest
        return {
            "key": self.spec.key,
            "model": self.recipe.model,
            "preprocess": self.recipe.preprocess,
            "size": [self.spec.reading.height, self.spec.reading.width],
            "views": self.recipe.views,
            "path": str(self.folder),
            "hit": self.hit,
            "images": self.images,
            "rows": self.rows,
            "stored": self.stored,
            "key_is_stored": self.key_is_stored,
            "damaged": list(self.damaged),
            "missing": [item._asdict() for item in self.missing],
            "nearest": near
            and {"path": str(near.folder), "images": near.images, "differences": list(near.differences)},
        }


class Explanation(NamedTuple):
    """What the cache holds of the features of several recipes.

    manifest: the images with their digests; files that could not be read are in its `skipped`. features: a look-up for
    each size of each recipe, then for augmented versions. notes: a line for each `spec.json` that could not be read.
    """

    manifest: Manifest
    features: tuple[CacheLookup, ...]
    notes: tuple[str, ...]


class _StoredKey(NamedTuple):
    """A key of the cache, from its `spec.json`."""

    folder: Location
    key: str
    spec: Mapping[str, Any]


@pinned()
def explain(
    data: OnePath | Manifest,
    recipes: Sequence[Recipe],
    cache: CacheLike = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Explanation:
    """Return what the cache holds of the features of `recipes` for the images of `data`, and why rows are missing.

    Files with an unknown digest are read; `on_step` is called with (files read, files to read). TensorFlow loads only
    if the digest of the weights is unknown. That digest is remembered. New digests of images are not, because the last
    remembered one distinguishes a changed image from a new one, also in the next explanation. Raises the errors of an
    extraction for data, recipes and weights, and StoreError for a cache that cannot be read.
    """
    cache = Cache.at(cache)
    memory = cache.digests
    memory.refresh()
    manifest = as_manifest(data)
    plans = [make_plan(recipe, memory) for recipe in recipes]
    memory.save()
    manifest = _with_digests(manifest, memory, on_step)
    keys, notes = _read_keys(cache.folder)
    lookups = [_look_up(plan.recipe, rows, pictures, cache, keys) for plan, rows, pictures in _needed(plans, manifest)]
    return Explanation(manifest, tuple(lookups), tuple(notes))


def _needed(plans: Sequence[Plan], manifest: Manifest) -> list[tuple[Plan, PlannedRows, tuple[Picture, ...]]]:
    """Return the rows that are needed of which images, in the order of an extraction.

    Augmented versions are of training images only.
    """
    needed = [(plan, rows, manifest.pictures) for plan in plans for rows in plan.parts]
    if any(plan.augmented for plan in plans):
        training = complete_splits(manifest).of_split("train")
        needed += [(plan, plan.augmented, training) for plan in plans if plan.augmented]
    return needed


def _with_digests(manifest: Manifest, memory: DigestMemory, on_step: Callable[[int, int], None] | None) -> Manifest:
    """Return the manifest with a digest for every image; files that cannot be read are in its `skipped`.

    Raises DataError if no file can be read.
    """
    digests = {picture.path: memory.get(picture.path, picture.stat) for picture in manifest.pictures}
    unknown = [picture for picture in manifest.pictures if digests[picture.path] is None]
    skipped = []
    for done, item in enumerate(fetch_all(unknown, _no_pixels, lambda digest: False, default_threads()), start=1):
        digests[item.picture.path] = item.picture.known_digest
        if item.reason is not None:
            skipped.append(Skipped(item.picture.path, item.reason))
        if on_step:
            on_step(done, len(unknown))
    known = [p.with_digest(digest) for p in manifest.pictures if (digest := digests[p.path])]
    if skipped and not known:
        path, reason = skipped[0]
        raise DataError(f"{manifest.source}: none of {len(skipped)} files can be read; the first: {path}: {reason}")
    return manifest.with_pictures(known, skipped)


def _no_pixels(raw: bytes) -> Any:
    raise AssertionError("no image is decoded here")


def _look_up(
    recipe: Recipe, rows: PlannedRows, pictures: Sequence[Picture], cache: Cache, keys: Sequence[_StoredKey]
) -> CacheLookup:
    spec, views = rows
    store = cache.store(spec)
    stored, missing = 0, []
    for picture in pictures:
        found = sum(row_id(picture.digest, view) in store for view in views)
        stored += found
        if found < len(views):
            reason: Reason = "views" if found else _reason(picture, store, views, cache.digests)
            missing.append(MissingImage(picture.path, reason))
    key_is_stored = bool(len(store) or store.damaged)
    return CacheLookup(
        recipe=recipe,
        spec=spec,
        views=views,
        folder=store.folder,
        images=len(pictures),
        stored=stored,
        missing=tuple(missing),
        key_is_stored=key_is_stored,
        damaged=store.damaged,
        nearest=None if key_is_stored else _nearest(spec, keys, pictures),
    )


def _reason(picture: Picture, store: RowReader, views: Sequence[int], memory: DigestMemory) -> Reason:
    """Return why an image has no row."""
    before = memory.last_known(picture.path)
    if before == picture.digest:  # its row was lost, or belongs to another key
        return "known"
    changed = before is not None and any(row_id(before, view) in store for view in views)
    return "changed" if changed else "new"


def _nearest(spec: FeatureSpec, keys: Sequence[_StoredKey], pictures: Sequence[Picture]) -> NearestKey | None:
    """Return the key with the fewest differences; None if there are no keys.

    Of several, the one with the most of `pictures`, then with the nearest size, then the first by name.
    """
    requested = spec.describe()
    found = [(differences, key) for key in keys if (differences := describe_differences(key.spec, requested))]
    if not found:
        return None
    least = min(_distance(differences) for differences, _ in found)
    tied = [(_count_images(key, pictures), diff, key) for diff, key in found if _distance(diff) == least]
    images, differences, best = min(tied, key=lambda item: (-item[0], _size_ratio(item[2].spec, requested)))
    return NearestKey(best.folder, differences, images)


def _distance(differences: Sequence[str]) -> tuple[int, bool]:
    """Return the number of differences, and whether one is the base or the kind of views: more than a setting."""
    return len(differences), any(phrase.startswith(("model ", "views ")) for phrase in differences)


def _size_ratio(stored: Mapping[str, Any], requested: Mapping[str, Any]) -> float:
    """Return the factor between the input sizes, up or down (ordered as |log ratio|); infinity if there is none."""
    try:
        sides = zip(stored["reading"]["size"], requested["reading"]["size"], strict=True)
        return float(math.prod(max(side) / min(side) for side in sides))
    except (LookupError, TypeError, ValueError, ArithmeticError):  # of another version, or written by hand
        return math.inf


def _count_images(key: _StoredKey, pictures: Sequence[Picture]) -> int:
    """Return how many of `pictures` have a row of any view under a key."""
    store = RowReader(key.folder, key.key)
    return sum(any(row_id(p.digest, view) in store for view in VIEWS["ten"]) for p in pictures)


def _read_keys(cache: Location) -> tuple[list[_StoredKey], list[str]]:
    """Return the keys of the cache that can be read, sorted by folder, and a note for each of the others."""
    keys, notes = [], []
    for folder in folders_in(cache) if may_be_there(cache) else ():
        try:
            content = read_key_file(as_folder(folder))
            keys.append(_StoredKey(folder, content.key, content.spec))
        except FileNotFoundError:  # it has shards alone, or was pruned meanwhile
            continue
        except StoreError as error:
            notes.append(f"passed over: {error}")
    return keys, notes
