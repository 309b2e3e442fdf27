"""Row ids: a content digest and the number of a view."""

from __future__ import annotations

RowId = bytes  # 34 bytes: SHA-256 of the image file, then the view as an unsigned 16-bit big-endian number
SIZE = 34
PLAIN_VIEW = 0


def row_id(digest: str, view: int = PLAIN_VIEW) -> RowId:
    """Return the id of the row for the image with this SHA-256 (hex); raises ValueError where it is not one."""
    content = bytes.fromhex(digest)
    if len(content) != SIZE - 2:
        raise ValueError(f"digest {digest!r}: expected a SHA-256 in hex")
    return content + view.to_bytes(2, "big")


def content_digest(row: RowId) -> str:
    """Return the SHA-256 (hex) of the image of a row."""
    return row[:32].hex()


def split_ids(packed: bytes) -> list[RowId]:
    """Return the ids in `packed`, 34 bytes each."""
    return [packed[at : at + SIZE] for at in range(0, len(packed), SIZE)]
