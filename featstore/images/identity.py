"""The identity of an image: the digest that its rows, its split and its copies are known by.

It is the SHA-256 of the file's bytes. Where a kind of file was read wrongly once and is read rightly now, a mark is
hashed before them: rows of the old pixels stay where they are and are not found, while those of all other files stay
valid. Another version of the whole reading would give up every row for the sake of a few files.
"""

from __future__ import annotations

import hashlib

_MARK = b"featstore-tiff-2:"
_TIFF = b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"  # the last two are BigTIFF


def content_digest(raw: bytes) -> str:
    """Return the digest (hex) that the rows of the image file with the bytes `raw` belong to."""
    digest = hashlib.sha256(_MARK if _was_misread(raw) else b"")
    digest.update(raw)
    return digest.hexdigest()


def may_be_deep(raw: bytes) -> bool:
    """Whether the file may hold levels of 16 bits: a PNG says so in byte 24, a TIFF in its tags."""
    return raw.startswith(_TIFF) or (raw.startswith(b"\x89PNG") and raw[24] == 16)


def _was_misread(raw: bytes) -> bool:
    if not raw.startswith(_TIFF):
        return False
    from featstore.images.tiff import was_misread

    return was_misread(raw)
