"""The canary: four fixed images whose features are stored with a key, to compare other environments with.

Versions of libraries are not part of a key, since they hardly ever change a feature: by 5e-6 relative L2 at most where
only rounding differs (threads, batches, oneDNN). A decoder, a filter or a precision that really differs changes it by
8e-4 or more, and such rows must not be mixed with the old ones. So an environment that is new to a key first has to
compute the same features of these images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.errors import StoreError, UnreadableImage, param
from featstore.extraction.writer import Encode
from featstore.images.prefetch import Read
from featstore.store.reader import RowReader
from featstore.system.environment import describe_environment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1  # of the images and of the sketch
TOLERANCE = 1e-4  # relative L2, for each image
IMAGES = Path(__file__).parents[1] / "images" / "canary"
NAMES = ("alpha.png", "grey-16-bit.png", "subsampled.jpg", "turned.jpg")

Sketches = dict[str, "NDArray[np.float32] | None"]  # by image; None where there are no features to compare


class Guard:
    """An encoder that checks, with its first call, that its features fit those in `store`.

    A new store gets a canary. If another environment than `here` began the store, its canary is compared.
    """

    def __init__(
        self, store: RowReader, read: Read, encode: Encode, here: Callable[[], Mapping[str, str]] = describe_environment
    ) -> None:
        """`read` turns the bytes of a file into pixels (views, height, width, 3), as `encode` takes them.

        The first view is used, so it must be the same for all users of the key. `here` returns the versions of this
        environment.
        """
        self._store, self._read, self._encode, self._here = store, read, encode, here
        self._passed = False
        self._canary: dict[str, Any] | None = None

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return the features (n, ...) of `images` (n, height, width, 3).

        Raises StoreError if the features of a canary image differ by more than 1e-4 from those stored, or if this
        environment computes none for an image of which features are stored.
        """
        rows = self._encode(images)  # first: only then is everything loaded that belongs to the environment
        if not self._passed:
            self._check()
            self._passed = True
        return rows

    def canary(self) -> dict[str, Any] | None:
        """Return the canary to store with the first rows of a new key; None before the first call."""
        return self._canary

    def _check(self) -> None:
        key_file, here = self._store.key_file, self._here()
        if key_file is None:
            self._canary = _describe(_compute(self._read, self._encode))
        elif key_file.canary is not None and key_file.versions != here:
            kept, found = _parse(key_file.canary, self._store.folder), _compute(self._read, self._encode)
            # An image that only this environment can read is harmless: it casts no doubt on stored rows.
            lost = [name for name in NAMES if kept[name] is not None and found[name] is None]
            if lost or _largest_difference(kept, found) > TOLERANCE:
                raise StoreError(_mismatch(self._store.folder, key_file.versions, here, kept, found, lost))


def _compute(read: Read, encode: Encode) -> Sketches:
    """Return the sketches of the canary images in this environment."""
    import numpy as np

    from featstore.extraction.sketch import make_sketch

    pixels = {}
    for name in NAMES:
        try:
            pixels[name] = read((IMAGES / name).read_bytes())[0]
        except UnreadableImage:  # not every reading supports every format
            continue
    rows = dict(zip(pixels, encode(np.stack(list(pixels.values()))), strict=True)) if pixels else {}
    finite = {name: make_sketch(row) for name, row in rows.items() if np.isfinite(row).all()}
    return {name: finite.get(name) for name in NAMES}


def _describe(sketches: Sketches) -> dict[str, Any]:
    """Return the canary as plain JSON values."""
    from featstore.extraction.sketch import to_text

    features = {name: None if numbers is None else to_text(numbers) for name, numbers in sketches.items()}
    return {"version": VERSION, "features": features}


def _parse(canary: Mapping[str, Any], folder: Path) -> Sketches:
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
    folder: Path,
    theirs: Mapping[str, str],
    here: Mapping[str, str],
    kept: Sketches,
    found: Sketches,
    lost: Sequence[str],
) -> str:
    """Return the message of the error: both environments, how the features differ, and the remedy.

    theirs: versions that began the key. lost: images of which this environment has no features.
    """
    from featstore.extraction.sketch import fingerprint

    names = [name for name in sorted({*theirs, *here}) if theirs.get(name) != here.get(name)]
    then, now = (", ".join(f"{name} {side.get(name, 'unknown')}" for name in names) for side in (theirs, here))
    old, new = (fingerprint(list(sketches.values())) for sketches in (kept, found))
    if lost:
        how = f"{', '.join(lost)} cannot be read or give NaN or infinity, so images that were read would be refused"
    else:
        difference = _largest_difference(kept, found)
        how = f"features of the same images differ by {difference:.1e}, where {TOLERANCE:.0e} is allowed"
    return (
        f"{folder}: its rows were made with {then} (canary {old}); here, with {now} (canary {new}), {how}: "
        f"go back to the versions they were made with, or extract into another {param('cache')}"
    )
