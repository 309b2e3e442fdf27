"""What a JPEG 2000 file declares of its bands; Pillow takes a second or fourth one for alpha."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_OPACITY = {1, 2}  # types of a channel by ISO/IEC 15444-1, section I.5.3.6: opacity, and colours multiplied by it


def jp2_declares_alpha(raw: bytes) -> bool:
    """Whether the channel definition of a JP2 file names a channel of opacity. A bare code stream has none."""
    for name, header in _boxes(raw):
        if name == b"jp2h":
            return any(
                meaning in _OPACITY
                for name, box in _boxes(header)
                if name == b"cdef"
                for _, meaning, _ in struct.iter_unpack(">HHH", box[2 : 2 + (len(box) - 2) // 6 * 6])
            )
    return False


def _boxes(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each box; nothing in what are not boxes, such as a bare code stream."""
    place = 0
    while place + 8 <= len(raw):
        length, name = struct.unpack_from(">I4s", raw, place)
        start = place + 8
        if length == 1 and place + 16 <= len(raw):
            (length,), start = struct.unpack_from(">Q", raw, start), place + 16
        end = len(raw) if length == 0 else place + length
        if end <= start:
            return
        yield name, raw[start:end]
        place = end
