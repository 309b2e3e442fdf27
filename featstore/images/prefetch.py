"""Prefetch: threads read, hash and decode image files while the network computes; results keep their order.

Pillow and hashlib release the GIL, so most of this costs no time. The window bounds the memory.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.datasets.manifest import Picture
from featstore.datasets.member_paths import Member, find_member
from featstore.datasets.tar_members import Changed, read_member
from featstore.errors import DataError, UnreadableImage
from featstore.images.identity import content_digest, may_be_deep
from featstore.images.levels import Brightest
from featstore.system.files import FileStat, NotRegularFile, open_regular
from featstore.system.limits import BYTES_VARIABLE, max_bytes
from featstore.system.stamps import settle

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


class FileBytes(NamedTuple):
    """The bytes of a file, its state when they were read, and the grain of its time stamps (see `stamps.settle`)."""

    raw: bytes
    state: FileStat
    grain: int | None


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
    from concurrent.futures import Future, ThreadPoolExecutor

    pool = ThreadPoolExecutor(threads, "featstore-read")
    try:
        pending: deque[Future[Fetched]] = deque()
        window = max(WINDOW // views, 2 * threads)
        for picture in pictures:
            pending.append(pool.submit(_fetch, picture, read, needed))
            if len(pending) == window:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def read_file(path: str) -> FileBytes:
    """Return the bytes of a regular file that is not too large, with the state of the file; raise UnreadableImage.

    path: of a file, or of the member of a tar.
    """
    if member := find_member(path):
        return _read_member(member)
    try:
        file, found = open_regular(path)
        with file:
            _refuse_large(found.size)
            grain = settle(file.fileno())
            before = FileStat.of(os.fstat(file.fileno()))
            raw = file.read(before.size + 1)
            if FileStat.of(os.fstat(file.fileno())) != before or len(raw) != before.size:
                raise UnreadableImage("changed while it was read")
    except NotRegularFile as error:
        raise UnreadableImage("not a regular file") from error
    except OSError as error:
        raise UnreadableImage(f"cannot be opened: {error.strerror}") from error
    return FileBytes(raw, before, grain)


def _read_member(member: Member) -> FileBytes:
    try:
        raw, state, grain = read_member(member, max_bytes())
    except DataError as error:
        raise UnreadableImage(str(error)) from error
    except OSError as error:
        changed = isinstance(error, Changed)
        raise UnreadableImage(f"{'' if changed else 'cannot be opened: '}{error.strerror}") from error
    _refuse_large(state.size)
    return FileBytes(raw, state, grain)


def _refuse_large(size: int) -> None:
    if size > (limit := max_bytes()):
        raise UnreadableImage(
            f"is {size / 2**20:.0f} MB, the limit is {limit / 2**20:.4g} MB; ${BYTES_VARIABLE} raises it"
        )


def is_readable(picture: Picture) -> bool:
    """Return whether the file is an image that can be decoded."""
    from featstore.images.decode import decode_rgb

    try:
        decode_rgb(read_file(picture.path).raw)
    except UnreadableImage:
        return False
    return True


def read_again(picture: Picture) -> bytes:
    """Return the bytes that the digest of `picture` is of.

    Raises UnreadableImage, DataError if the file has other bytes now.
    """
    raw = read_file(picture.path).raw
    if content_digest(raw) != picture.digest:
        raise DataError(f"{picture.path}: was changed meanwhile; run the same command again")
    return raw


def _fetch(picture: Picture, read: Callable[[bytes], Any], needed: Callable[[str], bool]) -> Fetched:
    try:
        raw, state, grain = read_file(picture.path)
        digest = content_digest(raw)
        pixels = read(raw) if needed(digest) else None
        brightest = None if pixels is None else _brightest(raw)
        return Fetched(picture._replace(known_digest=digest, stat=state), pixels, grain=grain, brightest=brightest)
    except UnreadableImage as error:
        return Fetched(picture._replace(known_digest=None), reason=str(error))  # an older digest no longer holds


def _brightest(raw: bytes) -> Brightest | None:
    if not may_be_deep(raw):
        return None
    from featstore.images.decode import brightest_level

    return brightest_level(raw)
