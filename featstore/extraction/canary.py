"""The canary: four fixed images whose features are stored with a key, to compare with before rows are added.

Versions of libraries are not part of a key, since they hardly ever change a feature: by 5e-6 relative L2 at most where
only rounding differs (threads, batches, oneDNN). A decoder, a filter or a precision that really differs changes it by
8e-4 or more, and such rows must not be mixed with the old ones. So a process that adds rows to a key first has to
compute the same features of these images. They are computed together with the first images, so a run that adds a few
rows pays only for reading them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.errors import StoreError, UnreadableImage, param
from featstore.extraction.writer import Rows
from featstore.images.prefetch import Read
from featstore.objects.urls import Location
from featstore.store.reader import RowReader
from featstore.system.environment import describe_environment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1  # of the images and of the sketch
POOLED = "pooled"  # the field of a canary with the features that are pooled from it
TOLERANCE = 1e-4  # relative L2, for each image
# Where factors are rounded to 8 or 11 bits, two engines differ from each other as much as each does from float32.
TOLERANCES = {"float32": TOLERANCE, "bfloat16": 3e-2, "float16": 4e-3}
IMAGES = Path(__file__).parents[1] / "images" / "canary"
NAMES = ("alpha.png", "grey-16-bit.png", "subsampled.jpg", "turned.jpg")

Pooling = Callable[["NDArray[Any]"], "NDArray[np.float32]"]  # of a map (height, width, channels)
Sketches = dict[str, "NDArray[np.float32] | None"]  # by image; None where there are no features to compare


class Guard:
    """What compares the features of the canary images with those in `store`, before rows are added.

    A store without a canary gets one: a new one, or one that was begun by another program or an old release.
    """

    def __init__(
        self,
        store: RowReader,
        here: Callable[[], Mapping[str, str]] = describe_environment,
        *,
        pools: Mapping[str, Pooling] | None = None,
        tolerance: float = TOLERANCE,
    ) -> None:
        """`here` returns the versions of this environment.

        pools: by name, what rows may be pooled from those of this store; the canary then has the pooled features too.
        tolerance: relative L2 by which features may differ.
        """
        self._store = store
        self._pools = pools or {}
        self._here, self._tolerance = here, tolerance
        self._canary: dict[str, Any] | None = None
        self._versions: Mapping[str, str] = {}  # with which it was made

    def check(self, rows: Rows, made_with: Mapping[str, str]) -> None:
        """Compare the features of the canary images, by name, and keep them for a store that has none.

        Raises StoreError if those of an image differ from those stored by more than the tolerance, or if there are none
        of an image of which features are stored.

        made_with: what the rows are made with, in addition to the environment.
        """
        here = {**self._here(), **made_with}
        self._meet(_describe(_sketches(rows)) | self._pooled(rows), self._store.folder, here)

    def check_other(self, other: RowReader, pool: str) -> None:
        """Check that the rows of another key fit those in `store`, which needs no network.

        Its canary is compared with that of this store, or taken over. Maps of an old release have no pooled features,
        so there is nothing to compare. Raises StoreError as `check` does.

        pool: how rows follow from those of `other`; `none` where they are the same.
        """
        theirs = other.key_file
        canary = theirs.canary if theirs else None
        if canary is not None and pool != "none":
            pooled = canary.get(POOLED, {}).get(pool)
            canary = None if pooled is None else {"version": VERSION, "features": pooled}
        if theirs is not None and canary is not None:
            self._meet(canary, other.folder, theirs.versions)

    def canary(self) -> dict[str, Any] | None:
        """Return the canary for a key that has none yet; None before the first check, or for a key that has one.

        The key may have got one from another process since the check. Then the two are compared here, once: raises
        StoreError as `check` does.
        """
        key_file = self._store.key_file
        if self._canary is not None and key_file is not None and key_file.canary is not None:
            self._meet(self._canary, self._store.folder, self._versions)
            self._canary = None
        return self._canary

    def _meet(self, canary: Mapping[str, Any], folder: Location, versions: Mapping[str, str]) -> None:
        """Compare `canary`, of rows in `folder` by `versions`, with that of the store, or keep it for the store."""
        key_file = self._store.key_file
        kept = (key_file.canary if key_file else None) or self._canary
        if kept is None:
            self._canary, self._versions = dict(canary), versions
            return
        theirs = key_file.versions if key_file else self._here()
        found = _parse(canary, folder)
        old = _parse(kept, self._store.folder)
        lost = [name for name in NAMES if old[name] is not None and found[name] is None]
        # An image that only this environment can read is harmless: it casts no doubt on stored rows.
        if lost or _largest_difference(old, found) > self._tolerance:
            raise StoreError(_mismatch(self._store.folder, theirs, versions, old, found, lost, self._tolerance))

    def _pooled(self, rows: Rows) -> dict[str, Any]:
        """Return the part of the canary with the pooled features; rows of other shapes than maps have none."""
        if not self._pools or any(row.ndim != 3 for row in rows.values()):
            return {}
        pooled = {
            name: _sketches({image: pool(row) for image, row in rows.items()}) for name, pool in self._pools.items()
        }
        return {POOLED: {name: _describe(sketches)["features"] for name, sketches in pooled.items()}}


def canary_pixels(read: Read) -> dict[str, NDArray[Any]]:
    """Return the pixels (height, width, 3) of those canary images that can be read: not every reading reads all.

    read: returns views (n, height, width, 3). The first is used, so it must be the same for all users of a key.
    """
    pixels = {}
    for name in NAMES:
        with suppress(UnreadableImage):
            pixels[name] = read((IMAGES / name).read_bytes())[0]
    return pixels


def _sketches(rows: Rows) -> Sketches:
    """Return the sketches of the rows by image; None where there is no row, or none that could be stored."""
    import numpy as np

    from featstore.extraction.sketch import make_sketch

    finite = {name: make_sketch(row) for name, row in rows.items() if np.isfinite(row).all()}
    return {name: finite.get(name) for name in NAMES}


def _describe(sketches: Sketches) -> dict[str, Any]:
    """Return the canary as plain JSON values."""
    from featstore.extraction.sketch import to_text

    features = {name: None if numbers is None else to_text(numbers) for name, numbers in sketches.items()}
    return {"version": VERSION, "features": features}


def _parse(canary: Mapping[str, Any], folder: Location) -> Sketches:
    """Return the sketches of a canary, as `_describe` wrote it; raises StoreError if it cannot be read."""
    from featstore.extraction.sketch import from_text

    try:
        version, features = canary["version"], canary["features"]
        if version == VERSION:
            return {name: None if features[name] is None else from_text(features[name]) for name in NAMES}
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{folder}: the canary in spec.json cannot be read: {error}; extract into another {param('cache')}"
        ) from error
    raise StoreError(f"{folder}: has a canary of version {version}, this featstore reads {VERSION}: upgrade it")


def _largest_difference(kept: Sketches, found: Sketches) -> float:
    """Return the largest difference of the images with features on both sides: one format may differ alone."""
    from featstore.extraction.sketch import relative_difference

    pairs = ((kept[name], found[name]) for name in NAMES)
    return max((relative_difference(a, b) for a, b in pairs if a is not None and b is not None), default=0.0)


def _mismatch(
    folder: Location,
    theirs: Mapping[str, str],
    here: Mapping[str, str],
    kept: Sketches,
    found: Sketches,
    lost: Sequence[str],
    tolerance: float,
) -> str:
    """Return the message of the error: both environments, how the features differ, and the remedy.

    theirs: versions that began the key. lost: images of which this environment has no features.
    """
    from featstore.extraction.sketch import fingerprint

    names = [name for name in sorted({*theirs, *here}) if theirs.get(name) != here.get(name)]
    then, now = (
        ", ".join(f"{name} {side.get(name, 'unknown')}" for name in names) or "the same versions"
        for side in (theirs, here)
    )
    old, new = (fingerprint(list(sketches.values())) for sketches in (kept, found))
    if lost:
        how = f"{', '.join(lost)} cannot be read or give NaN or infinity, so images that were read would be refused"
    else:
        difference = _largest_difference(kept, found)
        how = f"features of the same images differ by {difference:.1e}, where {tolerance:.0e} is allowed"
    back = "go back to the versions they were made with" if names else "see what this program or machine has set"
    return (
        f"{folder}: its rows were made with {then} (canary {old}); here, with {now} (canary {new}), {how}: "
        f"{back}, or extract into another {param('cache')}"
    )
