"""A bucket through obstore, the Python binding of Apache's object_store.

Its calls that wait are used, from threads: its asynchronous ones end some processes with SIGABRT as they exit.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from featstore.errors import UsageError
from featstore.objects.bucket import AlreadyThere, Found, ObjectError, Uncertain
from featstore.objects.state import object_state
from featstore.objects.urls import Url
from featstore.system.files import FileStat

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_GENERIC = re.compile(r"^Generic \w+ error: ")
_REQUEST = re.compile(r"Error performing (\w+) (\S+?) in ")
_STATUS = re.compile(r"status code: (\d{3}[ A-Za-z-]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_BARE_REDIRECT, _ELSEWHERE = "redirect without LOCATION", "it is in another region"  # obstore's words, and ours
_NO_BUCKET = re.compile(r"\((NoSuchBucket|ContainerNotFound)\)")
# Refused; or the environment has none, and the machine is asked, which knows some only in the cloud of a provider.
_NO_CREDENTIALS = re.compile(r"^40[13]| to (169\.254\.\d+\.\d+|metadata\.google\.internal)\b|must be specified")
_HINTS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, of another server, AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "memory": "",
}


class Patience(NamedTuple):
    """How long a server is waited for, in seconds.

    request: for one answer; 60 are a shard of 16 MB at 2 Mbit/s. call: for all attempts at one. pause: before the
    second attempt; each further one is up to twice as long.
    """

    request: float = 60
    call: float = 60
    retries: int = 8
    pause: float = 0.1


class ObstoreBucket:
    """A bucket; see `Bucket`. Credentials come from the environment, as the provider's own tools take them."""

    def __init__(self, root: Url, patience: Patience = Patience()) -> None:  # noqa: B008
        if find_spec("obstore") is None:
            raise UsageError(f"{root}: object storage needs obstore: pip install 'featstore-keras[objects]'")
        self._root = root
        with self._errors():
            self._store = _open(root, patience)
            self._deleting = self._store if root.scheme == "memory" else _open(root, patience._replace(retries=0))

    def list_all(self, prefix: str) -> Iterator[Found]:
        import obstore

        with self._errors():
            for page in obstore.list(self._store, prefix or None, chunk_size=1000):
                yield from (_found(meta) for meta in page)

    def list_folder(self, prefix: str) -> tuple[list[str], list[Found]]:
        import obstore

        with self._errors():
            listed = obstore.list_with_delimiter(self._store, prefix or None)
        folders = {path.rstrip("/").rpartition("/")[2] for path in listed["common_prefixes"]}
        return sorted(folders - {""}), sorted(_found(meta) for meta in listed["objects"])

    def head(self, path: str) -> FileStat:
        import obstore

        with self._errors(path):
            return _found(obstore.head(self._store, path)).state

    def get(self, path: str) -> tuple[bytes, FileStat]:
        import obstore

        with self._errors(path):
            answer = obstore.get(self._store, path)
            state = _found(answer.meta).state
            data = bytes(answer.bytes())
        if len(data) != state.size:
            raise ObjectError(f"{len(data)} bytes came of {state.size}")
        return data, state

    def get_range(self, path: str, start: int, length: int) -> tuple[bytes, FileStat]:
        import obstore

        if length == 0:
            return b"", self.head(path)
        with self._errors(path):
            answer = obstore.get(self._store, path, options={"range": (start, start + length)})
            state = _found(answer.meta).state
            data = bytes(answer.bytes())
        if len(data) != (expected := min(length, state.size - start)):
            raise ObjectError(f"{len(data)} bytes came of {expected}")
        return data, state

    def put_new(self, path: str, data: bytes) -> None:
        self._put(path, data, "create")

    def put(self, path: str, data: bytes) -> None:
        self._put(path, data, "overwrite")

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects with one attempt.

        If there were two out of sight, the first one could arrive when the object has been written again.
        """
        import obstore

        try:
            with self._errors(writes=True):
                obstore.delete(self._deleting, list(paths))
        except FileNotFoundError:  # some servers refuse to remove what is not there
            for path in paths if len(paths) > 1 else ():
                self.delete([path])

    def _put(self, path: str, data: bytes, mode: Any) -> None:
        import obstore

        try:
            with self._errors(writes=True):
                obstore.put(self._store, path, data, mode=mode, use_multipart=False)
        except FileNotFoundError as error:
            raise ObjectError(f"there is no bucket {self._root}") from error

    @contextmanager
    def _errors(self, path: str | None = None, writes: bool = False) -> Iterator[None]:
        """Turn the errors of obstore into those of `Bucket`.

        path: of the object, where it may be missing. writes: whether what was asked may have been done all the same.
        """
        from obstore import exceptions

        try:
            yield
        except FileNotFoundError as error:
            if path is None and not writes:
                raise ObjectError(f"there is no bucket {self._root}") from error
            raise FileNotFoundError(errno.ENOENT, "no such object") from None
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
            raise AlreadyThere("it exists already") from error
        except (exceptions.BaseError, NotImplementedError, ValueError) as error:
            reason = _describe(error)  # without a cause, whose text may have a signature in it
            if _NO_BUCKET.search(reason):
                raise ObjectError(f"there is no bucket {self._root}") from None
            if reason.startswith(_ELSEWHERE):  # so nothing was done
                raise ObjectError(f"{reason}: set AWS_REGION to that of the bucket") from None
            if _NO_CREDENTIALS.search(reason):
                raise ObjectError(f"{reason}; the credentials come from {_HINTS[self._root.scheme]}") from None
            raise (Uncertain if writes else ObjectError)(reason) from None


def _found(meta: ObjectMeta) -> Found:
    return Found(meta["path"], object_state(meta["size"], meta["last_modified"], meta["e_tag"]))


def _open(root: Url, patience: Patience) -> ObjectStore:
    from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store

    if root.scheme == "memory":
        return MemoryStore()
    retry: Any = {
        "max_retries": patience.retries,
        "retry_timeout": timedelta(seconds=patience.call),
        "backoff": {"init_backoff": timedelta(seconds=patience.pause)},
    }
    client: Any = {"timeout": timedelta(seconds=patience.request)}
    if any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS):  # as the provider's tools take it
        client["allow_http"] = True
    if root.scheme == "gs":
        return GCSStore(root.bucket, client_options=client, retry_config=retry)
    if root.scheme == "az":
        return AzureStore(root.bucket, client_options=client, retry_config=retry, **_account_of_az())
    return S3Store(
        root.bucket,
        client_options=client,
        retry_config=retry,
        **({"credential_provider": p} if (p := _profile()) else {}),
    )


_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL")


def _account_of_az() -> dict[str, Any]:
    """Return what `az`, Azure's own tool, takes from the environment, where obstore's names for it are not set."""
    names = {"account_name": "AZURE_STORAGE_ACCOUNT", "account_key": "AZURE_STORAGE_KEY"}
    return {
        option: os.environ[name]
        for option, name in names.items()
        if name in os.environ and f"AZURE_STORAGE_{option.upper()}" not in os.environ
    }


def _profile() -> Any:
    """Return credentials of a profile in ~/.aws, where boto3, which reads it, is installed; else None.

    Keys in the environment come first, as for Amazon's own tools.
    """
    if "AWS_ACCESS_KEY_ID" in os.environ or find_spec("boto3") is None:
        return None
    if not (os.environ.get("AWS_PROFILE") or os.path.exists(os.path.expanduser("~/.aws"))):
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    return Boto3CredentialProvider()


def _describe(error: Exception) -> str:
    """Return an error in one line: what was asked of which server, and its answer. Bodies and queries are left out.

    The texts of object_store are pages, with URLs that may be signed and with answers that quote keys.
    """
    text = str(error).partition("Debug source")[0]
    request, status, code = _REQUEST.search(text), _STATUS.search(text), _CODE.search(text)
    parts = []
    if status:
        parts.append(f"{status[1].strip()}{f' ({code[1]})' if code else ''}")
    elif request:
        parts.append(_ELSEWHERE if _BARE_REDIRECT in text else "no answer")
    if request:
        server = urlsplit(request[2]).netloc.rpartition("@")[2] or "the server"  # a signed URL is not told at all
        parts.append(f"{request[1]} to {server}")
    if not parts:
        parts.append(_GENERIC.sub("", text.split("\n")[0].strip())[:200])
    return ", ".join(parts)
