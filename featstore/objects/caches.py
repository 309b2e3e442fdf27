"""Where a cache is: a folder or a URL, as the user names it, and its folder on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from featstore.objects.local import local_folder
from featstore.objects.urls import Location, Url, parse_location
from featstore.system.paths import OnePath, one_text

DEFAULT_CACHE = "cache"
CacheLocation: TypeAlias = OnePath | Url | None


def cache_location(cache: CacheLocation = None) -> Location:
    """Return where the cache is: at `cache`, at $FEATSTORE_CACHE, or in `cache` in the working folder.

    Raises UsageError for a URL that is not known, and for what is neither a path nor a URL.
    """
    given = cache or os.environ.get("FEATSTORE_CACHE") or DEFAULT_CACHE
    return given if isinstance(given, Url) else parse_location(one_text(given, "cache"), "cache")


def local_of(cache: Location) -> Path:
    """Return the folder on this machine of what is derived for a cache: the cache itself, if it is a folder."""
    return local_folder(cache) if isinstance(cache, Url) else cache


def may_be_there(cache: Location) -> bool:
    """Return whether a cache exists; True for one on object storage, which is not asked."""
    return isinstance(cache, Url) or cache.is_dir()
