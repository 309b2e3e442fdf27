"""Kinds of file that are not read as images, recognised by their first bytes, each with the way out."""

from __future__ import annotations

import re

READ = "JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF, JPEG 2000 or PPM"
_AS_PNG = "save it as PNG or JPEG"
_KINDS = {  # how such a file begins -> what it is and what to do
    rb"\s*%PDF": "is a PDF: convert its pages, as with `pdftoppm -png`",
    rb"\xff\x0a|\0\0\0\x0cJXL ": f"is a JPEG XL image, which is not read: {_AS_PNG}, as with `djxl`",
    rb"8BPS": f"is a Photoshop file: {_AS_PNG}",
    rb"gimp xcf": f"is a GIMP file: {_AS_PNG}",
    rb"\x76\x2f\x31\x01": "is an OpenEXR image of floats without a defined range: save it with 8 or 16 bits",
    rb"#\?RADIANCE|#\?RGBE": "is a Radiance image of floats without a defined range: save it with 8 or 16 bits",
    rb"\0\0\x01\0": f"is an icon of several images: {_AS_PNG}",
    rb"(?s).{128}DICM": f"is a DICOM file: {_AS_PNG}, with the window that shows what matters",
    rb"SIMPLE  =": "is a FITS file of numbers without a defined range: save it with 8 or 16 bits",
    rb"\x93NUMPY": "is a NumPy array: give arrays as a .npz with images and labels",
    rb"\x89HDF": "is an HDF5 file: save its images as PNG",
    rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf": "is an archive: unpack it",
    rb"(?s).{4}ftyp|\x1aE\xdf\xa3|RIFF....AVI ": f"is a film: {_AS_PNG} what it shows",
    rb"version https://git-lfs": "is a pointer of Git LFS, not the image: run `git lfs pull`",
    rb"(?is)\s*(<\?xml.*?)?(<!--.*?-->\s*)*(<!doctype svg.*?)?<svg": "is an SVG drawing: convert it, as with "
    "`rsvg-convert`",
    rb"(?i)\s*(<!doctype )?<?html": "is a web page, likely in place of the image: download it again",
    rb"II[*+]\0|MM\0[*+]": f"is a TIFF of a kind that is not read, or damaged: {_AS_PNG}",
    rb"\xff\xd8|\x89PNG|GIF8|RIFF....WEBP|BM": "is a damaged image: its first bytes are right and its header is not",
}
_PATTERNS = {re.compile(start): reason for start, reason in _KINDS.items()}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_LOOKED_AT = 2000  # bytes: an SVG begins with comments


def reason_not_read(raw: bytes) -> str:
    """Return why the bytes of a file cannot be read as an image, in a few words."""
    start = raw[:_LOOKED_AT]
    found = next((reason for pattern, reason in _PATTERNS.items() if pattern.match(start)), None)
    return found or f"is not a readable {READ} image"


def is_heic(raw: bytes) -> bool:
    """Whether this is a photo as phones store it: HEVC in the container of ISO/IEC 23008-12, which AVIF has too."""
    brands = raw[8 : int.from_bytes(raw[:4], "big")][:64]
    return raw[4:8] == b"ftyp" and brands[:4] in _HEIC and b"avif" not in brands
