"""Images as the bytes of files."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from featstore.images.decode import decode_rgb
from helpers.photos import draw


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """`image` as the bytes of a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixels(raw: bytes) -> np.ndarray:
    """(height, width, 3) integers as the file is read."""
    return np.asarray(decode_rgb(raw)).astype(int)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG byte by byte, for what Pillow does not write; each row of `rows` starts with its filter."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def tiff(data: bytes, width: int, height: int, bits: tuple[int, ...], photometric: int, **tags: int) -> bytes:
    """An uncompressed little-endian TIFF of one strip, tag by tag; `bits` of each band, `tags` such as `t338=2`."""
    entries = {
        256: (width,),
        257: (height,),
        258: bits,
        259: (1,),
        262: (photometric,),
        273: (0,),
        277: (len(bits),),
        278: (height,),
        279: (len(data),),
        **{int(name[1:]): (value,) for name, value in tags.items()},
    }
    after = 8 + 2 + 12 * len(entries) + 4
    more = b""
    directory = struct.pack("<H", len(entries))
    several = {tag: values for tag, values in entries.items() if len(values) > 2}
    place = after + sum(2 * len(values) for values in several.values())
    for tag, values in sorted(entries.items()):
        if tag == 273:
            directory += struct.pack("<HHII", tag, 4, 1, place)
        elif tag in several:
            directory += struct.pack("<HHII", tag, 3, len(values), after + len(more))
            more += struct.pack(f"<{len(values)}H", *values)
        elif tag == 279:
            directory += struct.pack("<HHII", tag, 4, 1, values[0])
        else:
            directory += struct.pack("<HHI", tag, 3, len(values)) + struct.pack(
                "<2H", *values, *[0] * (2 - len(values))
            )
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + more + data


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The rows and columns that a camera writes with this EXIF orientation (EXIF 2.32, section 4.6.4)."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]


def tagged(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


WHOLE = {
    "JPEG": encoded(draw("discs", 8), "JPEG"),
    "progressive JPEG": encoded(draw("discs", 8), "JPEG", progressive=True),
    "PNG": encoded(draw("discs", 8)),
    "GIF": encoded(draw("discs", 8), "GIF"),
    "BMP": encoded(draw("discs", 8), "BMP"),
    "WebP": encoded(draw("discs", 8), "WEBP"),
    "TIFF": encoded(draw("discs", 8), "TIFF"),
    "TIFF by libtiff": encoded(draw("discs", 8), "TIFF", compression="tiff_lzw"),
    "AVIF": encoded(draw("discs", 8), "AVIF"),
    "JPEG 2000": encoded(draw("discs", 8), "JPEG2000"),
    "PPM": encoded(draw("discs", 8), "PPM"),
}


def declaring(kind: str, width: int, height: int) -> bytes:
    """A small image of `kind` whose header declares a larger one."""
    raw = bytearray(encoded(Image.new("RGB", (16, 16)), kind))
    place, layout, values = {
        "PNG": (16, ">II", (width, height)),
        "BMP": (18, "<ii", (width, height)),
        "GIF": (6, "<HH", (width, height)),
        "JPEG": (raw.find(b"\xff\xc0") + 5, ">HH", (height, width)),
        "WEBP": (raw.find(b"\x9d\x01\x2a") + 3, "<HH", (width, height)),
    }[kind]
    struct.pack_into(layout, raw, place, *values)
    if kind == "PNG":
        struct.pack_into(">I", raw, 29, zlib.crc32(raw[12:29]))
    return bytes(raw)
