"""The files of tars by their paths, `x.tar!1.jpg`: their states and their bytes.

The indexes that were used last stay in memory, so that a file costs one read of the tar.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from featstore.datasets.tar_files import Changed, OpenTar, open_tar
from featstore.datasets.tar_index import TarIndex, find_index
from featstore.system.files import FileStat
from featstore.system.fork_lock import ForkLock
from featstore.system.member_paths import Member

INDEXES = "tars"  # the folder of a cache in which indexes are kept
_MOST_FILES = 1_000_000  # in the indexes in memory: 150 MB

_folder: Path | None = None
_indexes: OrderedDict[str, TarIndex] = OrderedDict()  # by path of the tar; the one that was used last is at the end
_searches: dict[str, ForkLock] = {}  # so that of several threads one makes the pass
_lock = ForkLock()


def keep_indexes(folder: Path) -> None:
    """Keep indexes of tars below `folder` from now on."""
    global _folder
    _folder = folder


def index_of(tar: OpenTar) -> TarIndex:
    """Return the index of a tar; raises as `find_index` does."""
    with _lock:
        search = _searches.setdefault(tar.path, ForkLock())
    with search:
        with _lock:
            index = _indexes.pop(tar.path, None)
            if index is not None and index.state == tar.state:
                _indexes[tar.path] = index  # at the end
                return index
        index = find_index(tar, _folder)
        with _lock:
            _indexes[tar.path] = index
            while len(_indexes) > 1 and sum(map(len, _indexes.values())) > _MOST_FILES:
                _indexes.popitem(last=False)
        return index


def member_state(member: Member) -> FileStat:
    """Return the state of a file in a tar; raises OSError, FileNotFoundError among them, and DataError."""
    index = index_of(open_tar(member.tar))
    return index.file_state(index.find(member.name))


def read_member(member: Member, most: int) -> tuple[bytes, FileStat, int | None]:
    """Return the bytes of a file in a tar, its state and the grain of its stamps, by one read of the tar.

    Nothing is read of a file of more than `most` bytes, and its state says so. Raises as `member_state` does, and
    Changed.
    """
    try:
        return _read(open_tar(member.tar), member, most)
    except Changed:
        return _read(open_tar(member.tar, renew=True), member, most)


def _read(tar: OpenTar, member: Member, most: int) -> tuple[bytes, FileStat, int | None]:
    index = index_of(tar)
    place = index.find(member.name)
    state = index.file_state(place)
    if place.size > most:
        return b"", state, None
    grain = tar.settle()
    data = tar.read(place.start, place.size)
    if len(data) != place.size:
        raise Changed
    return data, state, grain
