"""The bytes of one image file, on disk or in object storage. Every function that reads an image gets them here."""

from __future__ import annotations

import os
from typing import NamedTuple

from featstore.datasets.tar_files import Changed
from featstore.datasets.tar_members import read_member
from featstore.errors import DataError, StoreError, UnreadableImage
from featstore.objects.bucket import ObjectError
from featstore.objects.opening import open_bucket
from featstore.objects.state import SETTLED
from featstore.objects.urls import parse_url
from featstore.system.files import FileStat, NotRegularFile, open_regular
from featstore.system.limits import BYTES_VARIABLE, max_bytes
from featstore.system.member_paths import Member, find_member
from featstore.system.paths import is_url
from featstore.system.stamps import FOREIGN_NS, settle


class FileBytes(NamedTuple):
    """The bytes of a file, its state when they were read, and the grain of its time stamps (see `stamps.settle`)."""

    raw: bytes
    state: FileStat
    grain: int | None


def read_file(path: str, size: int | None = None) -> FileBytes:
    """Return the bytes of a regular file that is not too large, with the state of the file; raise UnreadableImage.

    Raises StoreError where object storage does not answer.

    path: of a file, of an object, or of a file in a tar. size: of an object as it was listed; it is asked for where it
    is not known, as too large a one is not even begun.
    """
    if member := find_member(path):
        return _read_member(member)
    if is_url(path):
        return _read_object(path, size)
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
        found = FileBytes(*read_member(member, max_bytes()))
    except ObjectError as error:
        raise _unanswered(member.tar, error) from error
    except Changed as error:
        raise UnreadableImage(error.strerror) from error
    except OSError as error:
        raise UnreadableImage(f"cannot be opened: {error.strerror}") from error
    except DataError as error:
        raise UnreadableImage(str(error)) from error
    _refuse_large(found.state.size)
    return found


def _read_object(path: str, size: int | None) -> FileBytes:
    """Return the bytes of an object with its state: both are of one answer, so it cannot change in between."""
    try:
        url = parse_url(path, "data")
        bucket = open_bucket(url)
        _refuse_large(bucket.head(url.path).size if size is None else size)
        raw, state = bucket.get(url.path)
    except FileNotFoundError as error:
        raise UnreadableImage(f"cannot be opened: {error.strerror}") from error
    except OSError as error:
        raise _unanswered(path, error) from error
    _refuse_large(state.size)  # another may have taken its place since it was listed
    is_marked = state.inode != 0  # else only its time says that it is another, as that of a file does
    return FileBytes(raw, state, SETTLED if is_marked else FOREIGN_NS)


def _unanswered(path: str, error: OSError) -> StoreError:
    """Return the error for storage that does not answer, or that refuses, as it does once a token is too old.

    The image is there then. To go on without all those that come after it would be to train on what is left.
    """
    return StoreError(
        f"{path}: {error.strerror}; run the same command again once it can be read: what is stored is kept"
    )


def _refuse_large(size: int) -> None:
    if size > (limit := max_bytes()):
        raise UnreadableImage(
            f"is {size / 2**20:.0f} MB, the limit is {limit / 2**20:.4g} MB; ${BYTES_VARIABLE} raises it"
        )
