"""What the name of a file says: an image, something else, or what an operating system leaves behind."""

from __future__ import annotations

# fmt: off
_IMAGES = {
    "jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "gif", "webp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "jp2",
    "j2k", "jpx", "avif", "heic", "heif", "hif",
}
_OTHERS = {  # clearly no images: tables, texts, code, archives, films and sounds
    "csv", "tsv", "parquet", "xls", "xlsx", "ods", "json", "jsonl", "xml", "yaml", "yml", "toml", "ini", "cfg",
    "txt", "md", "rst", "log", "html", "htm", "css", "py", "pyc", "ipynb", "r", "m", "sh", "js", "c", "h",
    "cpp", "java", "bat", "zip", "tar", "gz", "tgz", "bz2", "xz", "7z", "rar", "npy", "npz", "mat", "pkl", "h5",
    "hdf5", "pt", "pth", "onnx", "keras", "tfrecord", "db", "sqlite", "mp4", "mov", "avi", "mkv", "webm", "mp3",
    "wav", "doc", "docx", "rtf", "odt", "md5", "sha1", "sha256", "part", "tmp", "bak", "lock", "aae", "thm",
}
_OTHER_NAMES = {"readme", "license", "licence", "copying", "changelog", "makefile", "dockerfile"}
# fmt: on
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "__macosx", "@eadir"}  # the last is Synology's


def has_image_name(name: str) -> bool:
    """Return whether the name of a file ends like that of an image."""
    return name.rpartition(".")[2].lower() in _IMAGES and "." in name


def ending_of_other(name: str) -> str:
    """Return the ending, or the whole name, of a file that by its name is clearly not an image; else nothing."""
    _, dot, ending = name.rpartition(".")
    if dot and ending.lower() in _OTHERS:
        return f".{ending.lower()}"
    return name if name.lower() in _OTHER_NAMES else ""


def is_table_name(name: str) -> bool:
    """Return whether the name of a file ends like that of a table that most likely lists images."""
    return name.lower().endswith((".csv", ".tsv", ".parquet"))


def is_junk(name: str) -> bool:
    """Return whether a file or folder is hidden, or one that operating systems make."""
    return name.startswith(".") or name.lower() in _JUNK
