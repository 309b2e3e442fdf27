"""`spec.json`: what the key is the hash of, the environment that began its rows, and the canary (see `canary`)."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featstore.errors import StoreError, param
from featstore.store.layout import SPEC
from featstore.system.files import read_regular, write_whole

FORMAT = "featstore-key"
FORMAT_VERSION = 1
_WAY_OUT = "`featstore cache repair` makes it again from a shard, or move the folder away and extract again"


class NewerFormat(StoreError):
    """A file of another version of the format than this featstore reads; nothing is wrong with it."""


class Unreadable(StoreError):
    """A file that the system does not give out; nothing need be wrong with it."""


class KeyFile:
    """What is in the `spec.json` of a folder; `versions` and `canary` are None where there is none."""

    def __init__(self, folder: Path, key: str, spec_json: str) -> None:
        self.path = folder / SPEC
        self.versions: Mapping[str, str] | None = None
        self.canary: dict[str, Any] | None = None
        self._key = key
        self._spec_json = spec_json

    def load(self) -> None:
        """Take in the file if there is one; raises StoreError if it is damaged, newer, or belongs to another key."""
        try:
            content = read_key_file(self.path)
        except FileNotFoundError:
            return
        if content["key"] != self._key:
            raise StoreError(
                f"{self.path}: belongs to the key {content['key']}, not to {self._key}; choose another {param('cache')}"
            )
        self.versions, self.canary = content["versions"], content.get("canary")

    def write(self, versions: Mapping[str, str]) -> None:
        """Write it unless it is there; raises StoreError if another environment has begun the key a moment ago."""
        if self.path.exists():
            if self.versions is None:
                self.load()
                if self.versions != versions:
                    raise StoreError(
                        f"{self.path}: another process has begun this key just now in another environment; run the "
                        "same command again, which then compares the two"
                    )
            return
        content = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "key": self._key,
            "spec": json.loads(self._spec_json),
            "versions": dict(versions),
            **({"canary": self.canary} if self.canary is not None else {}),
        }
        write_whole(self.path, json.dumps(content, indent=1, sort_keys=True).encode())
        self.versions = dict(versions)


def read_key_file(path: Path) -> dict[str, Any]:
    """The content of a `spec.json`, with `key`, `spec` and `versions`; raises FileNotFoundError or StoreError."""
    try:
        content = json.loads(read_regular(path)[0])
        version = content["format_version"]
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}")
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EIO, errno.ESTALE):
            raise StoreError(f"{path}: cannot be read: {error.strerror}; {_WAY_OUT}") from error
        remedy = f"choose another {param('cache')}, or give yourself permission to read this one"
        raise Unreadable(f"{path}: cannot be read: {error.strerror}; {remedy}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read: {' '.join(str(error).split())}; {_WAY_OUT}") from error
    check_version(path, version, FORMAT_VERSION, content.get("versions"))
    canary = content.get("canary")
    fields = (content.get("key"), content.get("spec"), content.get("versions"), {} if canary is None else canary)
    if not all(isinstance(field, kind) for field, kind in zip(fields, (str, dict, dict, dict), strict=True)):
        raise StoreError(f"{path}: cannot be read: key, spec or versions are missing; {_WAY_OUT}")
    return content  # type: ignore[no-any-return]


def key_of(spec: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON of a spec: sorted, no white space, ASCII."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def check_version(what: object, version: object, known: int, made_by: object) -> None:
    """Raises NewerFormat for another version than `known`, with the release that wrote it, from its `versions`."""
    if isinstance(version, int) and version == known:
        return
    release = made_by.get("featstore-keras") if isinstance(made_by, Mapping) else None
    remedy = f"it was written by featstore-keras {release}: install that release or a later one"
    raise NewerFormat(
        f"{what}: format version {version}, this featstore reads {known}: {remedy if release else 'upgrade it'}"
    )
