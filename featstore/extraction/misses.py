"""Why features are in the cache or not: `featstore cache explain`.

What is asked for is planned as for an extraction and looked up, and nothing is computed. No image is decoded, so a file
that is no image shows as one that has no row yet.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Manifest, Picture, Skipped, scan
from featstore.datasets.splits import complete_splits
from featstore.errors import DataError, StoreError
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.plan import Plan, Rows, make_plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.spec_diff import differences
from featstore.images.prefetch import fetch_all
from featstore.images.views import VIEWS
from featstore.spec import FeatureSpec
from featstore.store.layout import SPEC
from featstore.store.reader import RowReader
from featstore.store.rowid import row_id
from featstore.store.spec_file import read_key_file
from featstore.system.environment import default_threads

Why = Literal["changed", "views", "known", "new"]


class Missing(NamedTuple):
    """An image that lacks rows, and why.

    changed: the file of this name had other bytes when its rows were stored. views: it has some of the views. known: an
    extraction has read it, and there is no row that can be read: it was lost, or is of another key. new: the rest.
    """

    path: str
    why: Why


@dataclass(frozen=True)
class Nearest:
    """The stored spec with the fewest `differences`, each "thing stored -> asked"; `images` of the data are in it."""

    folder: Path
    differences: tuple[str, ...]
    images: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the cache holds of one feature set: `stored` of the `rows` asked for, which are `images` x `views`.

    missing: the images that lack rows. damaged: a line for each shard of the key that is passed over. nearest: where
    the key has no shards at all, not even damaged ones or those of other images, and the cache holds other keys.
    """

    recipe: Recipe
    spec: FeatureSpec
    views: tuple[int, ...]
    folder: Path
    images: int
    stored: int
    missing: tuple[Missing, ...]
    key_is_stored: bool
    damaged: tuple[str, ...] = ()
    nearest: Nearest | None = None

    @property
    def rows(self) -> int:
        return self.images * len(self.views)

    @property
    def hit(self) -> bool:
        """Whether an extraction would have nothing to do."""
        return not self.missing

    def describe(self) -> dict[str, Any]:
        """As `featstore cache explain --json` prints it."""
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
    """`features` has an answer for each size of each recipe, then for augmented versions.

    `manifest` holds the images with their digests, and what could not be read. `notes` name each `spec.json` that was
    passed over.
    """

    manifest: Manifest
    features: tuple[Answer, ...]
    notes: tuple[str, ...]


class _Kept(NamedTuple):
    """A key of the cache, as its `spec.json` says it."""

    folder: Path
    key: str
    spec: Mapping[str, Any]


def explain(
    data: str | os.PathLike[str] | Manifest,
    recipes: Sequence[Recipe],
    cache: CacheLike = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Explanation:
    """What the cache holds of the features of `recipes` for the images of `data`, and why rows are missing.

    Files whose digest is not known are read, which `on_step` is told about as (files read, files to read).
    TensorFlow loads only where the digest of the weights is not known, as for an extraction; that digest is kept.
    Those of images are not: the last one known is how a changed image is told from a new one, also when asked again.
    Raises as an extraction does for data, recipes and weights that cannot be, and for a cache that cannot be read.
    """
    cache = Cache.at(cache)
    memory = cache.digests
    memory.refresh()
    manifest = data if isinstance(data, Manifest) else scan(data)
    plans = [make_plan(recipe, memory) for recipe in recipes]
    memory.save()
    manifest = _with_digests(manifest, memory, on_step)
    kept, notes = _kept_specs(cache.folder)
    answers = [_answer(plan.recipe, rows, pictures, cache, kept) for plan, rows, pictures in _wanted(plans, manifest)]
    return Explanation(manifest, tuple(answers), tuple(notes))


def _wanted(plans: Sequence[Plan], manifest: Manifest) -> list[tuple[Plan, Rows, tuple[Picture, ...]]]:
    """The rows and the images that have them, in the order of an extraction; augmented are training images only."""
    wanted = [(plan, rows, manifest.pictures) for plan in plans for rows in plan.parts]
    if any(plan.augmented for plan in plans):
        training = complete_splits(manifest).of_split("train")
        wanted += [(plan, plan.augmented, training) for plan in plans if plan.augmented]
    return wanted


def _with_digests(manifest: Manifest, memory: DigestMemory, on_step: Callable[[int, int], None] | None) -> Manifest:
    """The manifest with a digest for every image; files that cannot be read are in its `skipped`."""
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
    raise AssertionError("no pixels are needed")


def _answer(
    recipe: Recipe,
    rows: Rows,
    pictures: Sequence[Picture],
    cache: Cache,
    kept: Sequence[_Kept],
) -> Answer:
    spec, views = rows
    store = cache.store(spec)
    stored, missing = 0, []
    for picture in pictures:
        held = sum(row_id(picture.digest, view) in store for view in views)
        stored += held
        if held < len(views):
            missing.append(Missing(picture.path, _why(picture, held, store, views, cache.digests)))
    there = bool(len(store) or store.damaged)
    nearest = None if there else _nearest(spec, kept, pictures)
    return Answer(
        recipe=recipe,
        spec=spec,
        views=views,
        folder=store.folder,
        images=len(pictures),
        stored=stored,
        missing=tuple(missing),
        key_is_stored=there,
        damaged=store.damaged,
        nearest=nearest,
    )


def _why(picture: Picture, held: int, store: RowReader, views: Sequence[int], memory: DigestMemory) -> Why:
    if held:
        return "views"
    before = memory.last_known(picture.path)
    if before == picture.digest:  # its row was lost, or is of another key
        return "known"
    changed = before is not None and any(row_id(before, view) in store for view in views)
    return "changed" if changed else "new"


def _nearest(spec: FeatureSpec, kept: Sequence[_Kept], pictures: Sequence[Picture]) -> Nearest | None:
    """The key with the fewest differences; of several, with the most of `pictures`, then with the nearest size."""
    asked = spec.describe()
    found = [(things, k) for k in kept if (things := differences(k.spec, asked))]
    if not found:
        return None
    least = min(_distance(things) for things, _ in found)
    tied = [(_images_in(k, pictures), things, k) for things, k in found if _distance(things) == least]
    # The first of several as near: they are sorted by name.
    images, things, best = min(tied, key=lambda item: (-item[0], _stretch(item[2].spec, asked)))
    return Nearest(best.folder, things, images)


def _distance(things: Sequence[str]) -> tuple[int, bool]:
    """How many they are, and whether one is another base or kind of views, which are more than a setting."""
    return len(things), any(thing.startswith(("model ", "views ")) for thing in things)


def _stretch(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> float:
    """By which factor the input sizes differ, up or down, which orders as |log ratio| does. Both are any JSON."""
    try:
        sides = zip(stored["reading"]["size"], asked["reading"]["size"], strict=True)
        return float(math.prod(max(side) / min(side) for side in sides))
    except (LookupError, TypeError, ValueError, ArithmeticError):  # of another version, or written by hand
        return math.inf


def _images_in(kept: _Kept, pictures: Sequence[Picture]) -> int:
    """How many of `pictures` have a row there, in whatever view."""
    store = RowReader(kept.folder, kept.key)
    return sum(any(row_id(p.digest, view) in store for view in VIEWS["ten"]) for p in pictures)


def _kept_specs(cache: Path) -> tuple[list[_Kept], list[str]]:
    """Every key of the cache that can be read, sorted by folder, and a note for each that cannot."""
    kept, notes = [], []
    for path in sorted(cache.glob(f"*/*/{SPEC}")):
        try:
            content = read_key_file(path)
            kept.append(_Kept(path.parent, content.key, content.spec))
        except (StoreError, FileNotFoundError) as error:  # the latter if somebody prunes just now
            notes.append(f"passed over: {error}")
    return kept, notes
