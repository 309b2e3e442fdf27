"""Row ids: a content digest and the number of a view."""

from __future__ import annotations

from collections.abc import Iterable

RowId = bytes  # 34 bytes: SHA-256 of the image file, then the view as an unsigned 16-bit big-endian number
SIZE = 34
PLAIN_VIEW = 0


def row_id(digest: str, view: int = PLAIN_VIEW) -> RowId:
    """Return the id of the row for the image with this SHA-256 (hex); raises ValueError where it is not one."""
    content = bytes.fromhex(digest)
    if len(content) != SIZE - 2:
        raise ValueError(f"digest {digest!r}: expected a SHA-256 in hex")
    return content + view.to_bytes(2, "big")


def row_ids(digests: Iterable[str], view: int = PLAIN_VIEW) -> list[RowId]:
    """Return `row_id` of each digest and the view, in half the time."""
    end = view.to_bytes(2, "big")
    rows = [bytes.fromhex(digest) + end for digest in digests]
    if not set(map(len, rows)) <= {SIZE}:
        raise ValueError("expected SHA-256 digests in hex")
    return rows


def content_digest(row: RowId) -> str:
    """Return the SHA-256 (hex) of the image of a row."""
    return row[:32].hex()


def split_ids(packed: bytes) -> list[RowId]:
    """Return the ids in `packed`, 34 bytes each."""
    return [packed[at : at + SIZE] for at in range(0, len(packed), SIZE)]
