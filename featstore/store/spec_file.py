"""`spec.json`: the spec of a key, the environment that began its rows, and their canary."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from featstore.errors import StoreError, param
from featstore.objects.urls import Url
from featstore.store.key_folder import KeyFolder
from featstore.store.layout import SPEC

FORMAT = "featstore-key"
FORMAT_VERSION = 1
_REMEDY = "`featstore cache repair` makes it again from a shard, or move the folder away and extract again"


class NewerFormat(StoreError):
    """A file of another version of the format than this featstore reads. The file may be sound."""


class Unreadable(StoreError):
    """A file that the system refuses to read. The file may be sound."""


@dataclass(frozen=True, kw_only=True)
class KeyFile:
    """The content of a `spec.json`.

    key: SHA-256 (hex) of the canonical JSON of `spec`. versions: of the environment that began the key. row_shape: of
    one row; None if unknown. canary: the features of the canary images in that environment; None if unknown.
    """

    key: str
    spec: Mapping[str, Any]
    versions: Mapping[str, str]
    row_shape: tuple[int, ...] | None = None
    canary: Mapping[str, Any] | None = None

    @property
    def spec_json(self) -> str:
        """The spec as canonical JSON."""
        return canonical_json(self.spec)

    def to_bytes(self) -> bytes:
        """Return the bytes of the file."""
        content = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "key": self.key,
            "spec": self.spec,
            "versions": dict(self.versions),
            **({"row_shape": list(self.row_shape)} if self.row_shape is not None else {}),
            **({"canary": self.canary} if self.canary is not None else {}),
        }
        return json.dumps(content, indent=1, sort_keys=True).encode()


def spec_path(folder: KeyFolder) -> str:
    """Return what a user calls the `spec.json` of a key."""
    return f"{folder}/{SPEC}"


def read_key_file(folder: KeyFolder) -> KeyFile:
    """Return the content of the `spec.json` of a key; raises FileNotFoundError, or StoreError if it cannot be used."""
    path = spec_path(folder)
    try:
        content = json.loads(folder.read(SPEC)[0], parse_constant=_refuse)
        version = content["format_version"]
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}")
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EIO, errno.ESTALE):
            raise StoreError(f"{path}: cannot be read: {error.strerror}; {_REMEDY}") from error
        remedy = f"choose another {param('cache')}, or give yourself permission to read this one"
        if isinstance(folder.location, Url):
            remedy = "run the same command again"
        raise Unreadable(f"{path}: cannot be read: {error.strerror}; {remedy}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read: {' '.join(str(error).split())}; {_REMEDY}") from error
    check_version(path, version, FORMAT_VERSION, content.get("versions"))
    key, spec, versions, canary = (content.get(field) for field in ("key", "spec", "versions", "canary"))
    fields = ((key, str), (spec, dict), (versions, dict), ({} if canary is None else canary, dict))
    if not all(isinstance(field, kind) for field, kind in fields):
        raise StoreError(f"{path}: cannot be read: key, spec or versions are missing; {_REMEDY}")
    shape = content.get("row_shape")
    if shape is not None and not is_shape(shape):
        raise StoreError(f"{path}: cannot be read: row_shape {shape!r}; {_REMEDY}")
    row_shape = None if shape is None else tuple(shape)
    return KeyFile(key=key, spec=spec, versions=versions, row_shape=row_shape, canary=canary)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def is_shape(value: object) -> bool:
    """Whether `value`, from JSON, is the shape of a row."""
    return isinstance(value, list) and all(type(side) is int and 0 <= side < 2**32 for side in value)


def canonical_json(spec: Mapping[str, Any]) -> str:
    """Return a spec as sorted ASCII JSON without white space."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key_of(spec: Mapping[str, Any]) -> str:
    """Return the key of a spec: SHA-256 (hex) of its canonical JSON."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()


def check_version(what: object, version: object, known: int, made_by: object) -> None:
    """Raise NewerFormat if `version` is not `known`, with the release that wrote the file, from its `versions`."""
    if isinstance(version, int) and version == known:
        return
    release = made_by.get("featstore-keras") if isinstance(made_by, Mapping) else None
    remedy = f"it was written by featstore-keras {release}: install that release or a later one"
    raise NewerFormat(
        f"{what}: format version {version}, this featstore reads {known}: {remedy if release else 'upgrade it'}"
    )
