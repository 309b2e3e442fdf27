"""Whether a server honours "write only if there is none".

Some servers ignore the condition, and the later of two writers replaces what the earlier one wrote. For shards that is
harmless: both write the same bytes. For `spec.json` it is not: two machines whose libraries compute other values would
both take themselves for the first, and their rows would lie in one key. So the server is tried before a key is begun.
"""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from urllib.parse import urlsplit
from weakref import WeakSet

from featstore.errors import StoreError
from featstore.objects.bucket import Bucket, ObjectError
from featstore.objects.opening import open_bucket
from featstore.objects.urls import Url
from featstore.store.object_writes import write_first, write_over

PROBE = "probe-"  # how the names of the objects begin with which it is tried
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT",),
}

_honoured: WeakSet[Bucket] = WeakSet()  # buckets that were tried
_lock = threading.Lock()


def check_condition(folder: Url) -> None:
    """Raise StoreError if the server of a bucket replaces an object that it should not.

    folder: in which an object of our own is made for a moment. A process asks each bucket once.
    """
    bucket = open_bucket(folder)
    with _lock:
        if bucket in _honoured:
            return
    url = folder / f"{PROBE}{secrets.token_hex(8)}"
    write_over(bucket, url, b"first")
    try:
        honours = not write_first(bucket, url, b"second")
    finally:
        with suppress(ObjectError):
            bucket.delete([url.path])
    if not honours:
        raise StoreError(
            f"{folder.root}: {_server(folder)} ignores the condition `If-None-Match: *` and replaces objects that "
            "exist: two machines that begin a key at once could mix rows of different values; use another server, or "
            "a newer release of this one"
        )
    with _lock:
        _honoured.add(bucket)


def _server(url: Url) -> str:
    """Return what a user calls the server, without what may be secret in its address."""
    address = next((os.environ[name] for name in _ENDPOINTS.get(url.scheme, ()) if os.environ.get(name)), "")
    return f"the server {urlsplit(address).netloc.rpartition('@')[2]}" if address else "the server"
