"""Prefetch: threads read, hash and decode image files while the network computes; results keep their order.

Pillow and hashlib release the GIL, so most of this costs no time. The window bounds the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.datasets.manifest import Picture
from featstore.errors import DataError, UnreadableImage
from featstore.images.files import read_file
from featstore.images.identity import content_digest, may_be_deep
from featstore.images.levels import Brightest
from featstore.images.read_ahead import Load, map_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

Read = Callable[[bytes], "NDArray[Any]"]

WINDOW = 96  # images read ahead: three batches, 14 MB of decoded pixels at 224 px


class Fetched(NamedTuple):
    """A file that was read, or that could not be.

    Attributes:
        picture: The picture, with its digest if the file was read.
        pixels: The result of `read`; None where it is not needed.
        reason: Why the file cannot be read; None if it was read.
        grain: Of its time stamps, as `stamps.settle` returns it.
        brightest: Its brightest level if it was decoded and has 16 bits: many cameras use fewer.
    """

    picture: Picture
    pixels: Any = None
    reason: str | None = None
    grain: int | None = None
    brightest: Brightest | None = None


def fetch_all(
    pictures: Sequence[Picture],
    read: Callable[[bytes], Any],
    needed: Callable[[str], bool],
    threads: int,
    views: int = 1,
) -> Iterator[Fetched]:
    """Yield each picture with its digest, and its pixels from `read` if its digest is `needed`, in the order given.

    `read` makes `views` images of a file, and the window holds that many times fewer files.
    """
    work = partial(_fetch, read=read, needed=needed)
    return map_files(pictures, work, threads, max(WINDOW // views, 2 * threads))


def is_readable(picture: Picture) -> bool:
    """Return whether the file is an image that can be decoded."""
    from featstore.images.decode import decode_rgb

    try:
        decode_rgb(read_file(picture.path, picture.stat.size).raw)
    except UnreadableImage:
        return False
    return True


def read_again(picture: Picture, load: Load | None = None) -> bytes:
    """Return the bytes that the digest of `picture` is of.

    load: reads its file, as in `map_files`. Raises UnreadableImage, DataError if the file has other bytes now.
    """
    raw = (load() if load else read_file(picture.path, picture.stat.size)).raw
    if content_digest(raw) != picture.digest:
        raise DataError(f"{picture.path}: was changed meanwhile; run the same command again")
    return raw


def _fetch(picture: Picture, load: Load, read: Callable[[bytes], Any], needed: Callable[[str], bool]) -> Fetched:
    try:
        raw, state, grain = load()
        digest = content_digest(raw)
        pixels = read(raw) if needed(digest) else None
        brightest = None if pixels is None else _brightest(raw)
        if state != picture.stat:  # where it is the same, as nearly always, the two pictures share one object
            picture = picture._replace(stat=state)
        return Fetched(picture.with_digest(digest), pixels, grain=grain, brightest=brightest)
    except UnreadableImage as error:
        return Fetched(picture._replace(known_digest=None), reason=str(error))  # an older digest no longer holds


def _brightest(raw: bytes) -> Brightest | None:
    if not may_be_deep(raw):
        return None
    from featstore.images.decode import brightest_level

    return brightest_level(raw)
