"""The canary: four fixed images whose features are kept with a key, so that another environment can be asked for them.

Versions of libraries are not part of a key, since they hardly ever move a feature: by 5e-6 relative L2 at most where
only rounding differs (threads, batches, oneDNN). A decoder, a filter or a precision that really differs moves it by
8e-4 or more, and such rows must not come among the old ones. So an environment that is new to a key has to show first
that it computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.errors import StoreError, UnreadableImage, param
from featstore.extraction.writer import Encode
from featstore.images.prefetch import Read
from featstore.store.reader import RowReader
from featstore.system.environment import environment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1  # of the images and of the sketch
TOLERANCE = 1e-4  # relative L2, for each image
IMAGES = Path(__file__).parents[1] / "images" / "canary"
NAMES = ("alpha.png", "grey-16-bit.png", "subsampled.jpg", "turned.jpg")

Sketches = dict[str, "NDArray[np.float32] | None"]  # by image; None where there are no features to compare


class Guard:
    """An encoder that shows with its first call that its features may go into `store`.

    A new store gets a canary. One that another environment than `here` has begun is compared with its canary.
    """

    def __init__(
        self, store: RowReader, read: Read, encode: Encode, here: Callable[[], Mapping[str, str]] = environment
    ) -> None:
        """`read` turns the bytes of a file into pixels (views, height, width, 3) as `encode` takes them.

        The first view is used. It has to be the same one for all that use the key.
        """
        self._store, self._read, self._encode, self._here = store, read, encode, here
        self._passed = False
        self._canary: dict[str, Any] | None = None

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Encode `images`.

        Raises StoreError if features of the canary images differ by more than 1e-4 from those that were kept, or if
        this environment has no features of an image that the canary has.
        """
        rows = self._encode(images)  # first, because only now all is loaded that belongs to the environment
        if not self._passed:
            self._check()
            self._passed = True
        return rows

    def canary(self) -> dict[str, Any] | None:
        """Return the canary to keep with the first rows of a new key; None before the first call."""
        return self._canary

    def _check(self) -> None:
        key_file, here = self._store.key_file, self._here()
        if key_file is None:
            self._canary = _describe(_compute(self._read, self._encode))
        elif key_file.canary is not None and key_file.versions != here:
            kept, found = _parse(key_file.canary, self._store.folder), _compute(self._read, self._encode)
            # An image that only `here` can read is harmless: nothing that was stored is called into question.
            lost = [name for name in NAMES if kept[name] is not None and found[name] is None]
            if lost or _largest_difference(kept, found) > TOLERANCE:
                raise StoreError(_refusal(self._store.folder, key_file.versions, here, kept, found, lost))


def _compute(read: Read, encode: Encode) -> Sketches:
    import numpy as np

    from featstore.extraction.sketch import sketch

    pixels = {}
    for name in NAMES:
        try:
            pixels[name] = read((IMAGES / name).read_bytes())[0]
        except UnreadableImage:  # not every reading takes every kind
            continue
    rows = dict(zip(pixels, encode(np.stack(list(pixels.values()))), strict=True)) if pixels else {}
    finite = {name: sketch(row) for name, row in rows.items() if np.isfinite(row).all()}
    return {name: finite.get(name) for name in NAMES}


def _describe(sketches: Sketches) -> dict[str, Any]:
    """The canary as plain JSON values."""
    from featstore.extraction.sketch import to_text

    features = {name: None if numbers is None else to_text(numbers) for name, numbers in sketches.items()}
    return {"version": VERSION, "features": features}


def _parse(canary: Mapping[str, Any], folder: Path) -> Sketches:
    """The inverse of `_describe`; raises StoreError."""
    from featstore.extraction.sketch import from_text

    try:
        version, features = canary["version"], canary["features"]
        if version == VERSION:
            return {name: None if features[name] is None else from_text(features[name]) for name in NAMES}
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{folder}: the canary in spec.json cannot be read: {error}; extract into another {param('cache')}"
        ) from error
    raise StoreError(f"{folder}: has a canary of version {version}, this featstore knows {VERSION}: upgrade it")


def _largest_difference(kept: Sketches, found: Sketches) -> float:
    """Image by image, since one kind of file may differ alone; of those that have features on both sides."""
    from featstore.extraction.sketch import relative_difference

    pairs = ((kept[name], found[name]) for name in NAMES)
    return max((relative_difference(a, b) for a, b in pairs if a is not None and b is not None), default=0.0)


def _refusal(
    folder: Path,
    there: Mapping[str, str],
    here: Mapping[str, str],
    kept: Sketches,
    found: Sketches,
    lost: Sequence[str],
) -> str:
    """One line: what was made with what, how it differs, and what to do; `lost` are the images without features."""
    from featstore.extraction.sketch import fingerprint

    names = [name for name in sorted({*there, *here}) if there.get(name) != here.get(name)]
    theirs, ours = (", ".join(f"{name} {having.get(name, 'unknown')}" for name in names) for having in (there, here))
    old, new = (fingerprint(list(sketches.values())) for sketches in (kept, found))
    if lost:
        how = f"{', '.join(lost)} cannot be read or give NaN or infinity, so images that were read would be refused"
    else:
        difference = _largest_difference(kept, found)
        how = f"features of the same images differ by {difference:.1e}, where {TOLERANCE:.0e} is allowed"
    return (
        f"{folder}: its rows were made with {theirs} (canary {old}); here, with {ours} (canary {new}), {how}: "
        f"go back to what they were made with, or extract into another {param('cache')}"
    )
