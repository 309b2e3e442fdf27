"""Images that are arrays or objects, not files: checked, and written once as lossless PNG below the cache.

From then on they are files like all others. The folder of a data set is named by the content of all of its images, so
the same arrays are written once; images of which any subset may come next are files that are named by their own. What
the levels mean must be certain: bytes are taken as they are; other numbers only if they are whole and reach far up in
0..255, or are such numbers divided by 255.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.errors import DataError, param
from featstore.system.files import TEMPORARY, write_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

IMAGES = "images"  # the folder below the cache
SINGLE = "single"  # in it: files that are named by their own content
_COMPLETE = "complete"  # a file that is written when all images are on disk
_BRIGHT = 128  # numbers that end below it may be of another scale
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # that a PNG holds without loss


def is_image(value: object) -> bool:
    """Return whether `value` is an image in memory: an array of two or three dimensions, or one of Pillow's."""
    if hasattr(value, "getbands") and hasattr(value, "tobytes"):
        return True
    return hasattr(value, "dtype") and len(getattr(value, "shape", ())) in (2, 3)


def write_images(images: Any, cache: Path, what: str, split: str | None = None) -> list[str]:
    """Write images in memory as PNG files below the folder `cache`, unless they are there; return their paths.

    images: an array (n, height, width) or (n, height, width, 3), or a sequence of such images or of Pillow's. what: a
    name of them, for messages. split: the same images in two splits are two sets of files. Raises DataError for numbers
    that may mean one thing or another.
    """
    encoders = list(_encoders(images, what))
    digest = hashlib.sha256()
    for content, _ in encoders:
        digest.update(hashlib.sha256(content()).digest())
    folder = cache / IMAGES / digest.hexdigest()[:32] / (split or "all")
    width = len(str(len(encoders)))
    paths = [folder / f"{number:0{width}}.png" for number in range(len(encoders))]
    if not (folder / _COMPLETE).exists():
        _make(folder)
        for path, (_, encode) in zip(paths, encoders, strict=True):
            _write(path, encode())
        os.sync()  # once, in place of each file: without its last file the folder does not count
        write_whole(folder / _COMPLETE, f"{len(paths)}\n".encode())
    return list(map(str, paths))


def write_single_images(images: Any, cache: Path, what: str) -> list[str]:
    """Write images in memory as files that are named by their content, unless they are there; return their paths.

    As `write_images`, for images that are used in ever new subsets, such as the folds of a cross-validation.
    """
    folder = cache / IMAGES / SINGLE
    paths: list[Path] = []
    fresh: dict[Path, Path] = {}  # under a temporary name until its bytes are on disk
    try:
        for content, encode in _encoders(images, what):
            path = folder / f"{hashlib.sha256(content()).hexdigest()}.png"
            paths.append(path)
            if path not in fresh and not path.exists():
                _make(folder)
                fresh[path] = folder / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
                _write(fresh[path], encode())
        if fresh:
            os.sync()
    except BaseException:
        for temporary in fresh.values():
            temporary.unlink(missing_ok=True)
        raise
    for path, temporary in fresh.items():
        os.replace(temporary, path)
    return list(map(str, paths))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {error.strerror}; choose another {param('cache')}") from error


def _write(path: Path, data: bytes) -> None:
    """Write a file in one step, so that what was interrupted leaves no half of one."""
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error


def _encoders(images: Any, what: str) -> Iterator[tuple[Callable[[], bytes], Callable[[], bytes]]]:
    """Yield for each image a function that returns what identifies it, and one that returns its PNG."""
    import numpy as np

    if not isinstance(images, np.ndarray) and not hasattr(images, "__array__"):
        images = [_as_array_or_picture(image) for image in images]
        arrays = [image for image in images if isinstance(image, np.ndarray)]
        if len(kinds := {str(array.dtype) for array in arrays}) > 1:
            raise DataError(f"{what}: expected images of one type, found {' and '.join(sorted(kinds))}")
        scale = _scale(np.concatenate([array.ravel() for array in arrays]), what) if arrays else None
    else:
        images = np.asarray(images)
        if images.ndim not in (3, 4):
            raise DataError(f"{what}: expected an array (n, height, width, 3), found {images.shape}")
        scale = _scale(images, what)
    for number, image in enumerate(images):
        if isinstance(image, np.ndarray):
            levels = _checked(image, f"{what}, image {number}")
            yield _from_array(levels, scale)
        else:
            yield _from_picture(image, f"{what}, image {number}")


def _as_array_or_picture(image: Any) -> Any:
    import numpy as np

    return image if hasattr(image, "getbands") else np.asarray(image)


def _from_array(
    levels: NDArray[Any], scale: Callable[[NDArray[Any]], NDArray[np.uint8]] | None
) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    def as_bytes() -> NDArray[np.uint8]:
        return scale(levels) if scale else levels

    def identity() -> bytes:
        return f"{levels.shape}:".encode() + as_bytes().tobytes()

    def encode() -> bytes:
        from PIL import Image

        return _png(Image.fromarray(as_bytes()))

    return identity, encode


def _from_picture(image: Image, what: str) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    if image.mode not in _MODES:
        if image.mode in ("F", "I"):
            raise DataError(f"{what}: pixels of 32 bits (mode {image.mode}) have no defined range: convert it to 'L'")
        image = image.convert("RGB")
    png = _png(image)
    return (lambda: png), (lambda: png)


def _png(image: Image) -> bytes:
    out = io.BytesIO()
    exif = image.getexif()  # an image that was opened is turned when it is read, like its file
    image.save(out, "PNG", compress_level=1, **({"exif": exif} if exif else {}))
    return out.getvalue()


def _checked(image: NDArray[Any], what: str) -> NDArray[Any]:
    """Return a grey (height, width) or RGB image; raises DataError for any other shape."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3):
        return image
    if image.ndim == 3 and image.shape[0] in (1, 3):
        raise DataError(f"{what}: has its channels first {image.shape}: move them to the end, as by moveaxis(1, -1)")
    raise DataError(f"{what}: expected (height, width) or (height, width, 3), found {image.shape}")


def _scale(numbers: NDArray[Any], what: str) -> Callable[[NDArray[Any]], NDArray[np.uint8]] | None:
    """Return how `numbers` become bytes, None if they are; raises DataError where their scale is not certain."""
    import numpy as np

    remedy = "convert them to uint8 from 0 to 255"
    if numbers.dtype == np.bool_:
        return lambda array: array.astype(np.uint8) * np.uint8(255)
    if numbers.dtype.kind not in "uif" or not numbers.size:
        raise DataError(f"{what}: expected images of numbers, found {numbers.dtype}; {remedy}")
    least, most = numbers.min(), numbers.max()
    if numbers.dtype == np.uint8 and most > 1:
        return None
    found = f"{what}: numbers from {least:.6g} to {most:.6g} ({numbers.dtype})"
    if not (np.isfinite(least) and np.isfinite(most)):
        raise DataError(f"{what}: has values that are not finite numbers; {remedy}")
    if least >= 0 and _BRIGHT <= most <= 255 and _are_whole(numbers):
        return lambda array: array.astype(np.uint8)
    are_bytes_over_255 = least >= 0 and _BRIGHT / 255 <= most <= 1 and _are_whole(numbers * 255, 1e-3)
    if numbers.dtype.kind == "f" and are_bytes_over_255 and not np.isin(numbers, (0, 1)).all():
        return lambda array: np.rint(array * 255).astype(np.uint8)
    raise DataError(f"{found} may be of several scales; {remedy}")


def _are_whole(numbers: NDArray[Any], tolerance: float = 0.0) -> bool:
    import numpy as np

    return numbers.dtype.kind in "ui" or bool((np.abs(numbers - np.rint(numbers)) <= tolerance).all())
