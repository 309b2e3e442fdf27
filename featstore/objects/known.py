"""What is known of objects that a user names one by one, as in a table: asked for together, in few requests.

A listing answers for 1,000 objects at once and takes about as long as 50 questions for one object each, of which 32
are asked at a time. So a folder of which many objects are named is listed, unless too many others are in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

from featstore.errors import UsageError
from featstore.objects.bucket import Found, ObjectError
from featstore.objects.opening import open_bucket
from featstore.objects.tree import Folder, make_tree
from featstore.objects.urls import Url, parse_url
from featstore.system.files import FileStat

THREADS = 32  # requests at a time: with 30 ms for an answer, 60 ms a file become 3
_FEW = 16  # objects that are asked for one by one in any case
_MOST = 100_000  # objects of a folder that are looked at to complete a name
_BESIDE = 20  # objects that are listed for each one that is named, at most


class KnownObjects:
    """The states of objects by their URLs. Nothing is asked twice."""

    def __init__(self) -> None:
        self._states: dict[str, FileStat | str] = {}
        self._folders: dict[str, Folder] = {}  # those that were listed, with all below them
        self._begun: dict[str, Folder] = {}  # those of which only the first objects were listed

    def look_up(self, urls: Iterable[str]) -> None:
        """Ask for objects. Raises OSError where it cannot be told whether one is there: none is left out for that."""
        by_bucket: dict[Url, list[Url]] = defaultdict(list)
        for text in dict.fromkeys(urls):
            if text in self._states:
                continue
            try:
                url = parse_url(text, "data")
            except UsageError:  # such as a control character in it
                self._states[text] = "no object can be named so"
                continue
            if (folder := self.listed(text.rpartition("/")[0])) is not None:
                self._states[text] = folder.files.get(url.name, _MISSING)
            else:
                by_bucket[url.root].append(url)
        for named in by_bucket.values():
            self._find(named)

    def state(self, url: str) -> FileStat | str:
        """Return the state of an object, or why there is none, in a few words."""
        self.look_up([url])
        return self._states[url]

    def listed(self, place: str) -> Folder | None:
        """Return a folder that was listed whole, by itself or with one above it; an empty one if it is not there."""
        for top, folder in self._folders.items():
            if f"{place}/".startswith(f"{top}/"):
                return folder.at(place[len(top) :]) or Folder()
        return None

    def folder(self, place: str, most: int = _MOST) -> Folder:
        """Return a folder with what is below it, up to `most` objects; an empty one where it cannot be listed."""
        if (known := self.listed(place)) is not None:
            return known
        if place not in self._begun:
            url = parse_url(place, "data")
            listed = _list(url, most) or []
            kept = self._folders if len(listed) < most else self._begun
            kept[place] = make_tree(listed, url.path, [])
        return self._folders.get(place) or self._begun[place]

    def _find(self, urls: Sequence[Url]) -> None:
        """Find objects of one bucket."""
        if len(urls) > _FEW:
            top, most = _common_folder(urls), 1000 + _BESIDE * len(urls)
            if (listed := _list(top, most)) is not None and len(listed) < most:
                self._folders[str(top)] = make_tree(listed, top.path, [])
                states = dict(listed)
                self._states |= {str(url): states.get(url.path, _MISSING) for url in urls}
                return
            if listed is not None and len(parts := _by_folder(urls, top)) > 1:
                for part in parts:
                    self._find(part)
                return
        self._ask(urls)

    def _ask(self, urls: Sequence[Url]) -> None:
        """Ask for each object."""
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(THREADS, "featstore-head")
        try:
            for url, state in zip(urls, pool.map(_head, urls), strict=True):
                self._states[str(url)] = state
        finally:
            pool.shutdown(cancel_futures=True)


_MISSING = "no such object"


def _head(url: Url) -> FileStat | str:
    """Return the state of an object; that it is not there is the only answer that is not an error."""
    try:
        return open_bucket(url).head(url.path)
    except FileNotFoundError:
        return _MISSING
    except OSError as error:
        raise ObjectError(f"{url}: {error.strerror}") from error


def _list(top: Url, most: int) -> list[Found] | None:
    """Return up to `most` objects; None where they may not be listed: they may be read all the same."""
    try:
        return list(islice(open_bucket(top).list_all(top.path), most))
    except OSError:
        return None


def _common_folder(urls: Sequence[Url]) -> Url:
    """Return the deepest folder that all objects are in."""
    low, high = min(urls).parent.path.split("/"), max(urls).parent.path.split("/")
    same = 0
    while same < min(len(low), len(high)) and low[same] == high[same]:
        same += 1
    return Url(urls[0].scheme, urls[0].bucket, "/".join(low[:same]))


def _by_folder(urls: Sequence[Url], top: Url) -> list[list[Url]]:
    """Return the objects by the folder in `top` that they are in; those directly in it are together."""
    parts: dict[str, list[Url]] = defaultdict(list)
    for url in urls:
        name, _, rest = url.path[len(top.path) :].lstrip("/").partition("/")
        parts[name if rest else ""].append(url)
    return list(parts.values())
