"""The headers of tars: whatever is in them, the files that can be read are found, and the others have a reason."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from pathlib import Path

import pytest

from featstore.datasets.tar_contents import Contents
from featstore.datasets.tar_headers import Window, read_contents
from featstore.errors import DataError
from helpers.tars import tar_bytes, write_tar


def contents(data: bytes, size: int | None = None) -> Contents:
    whole = len(data) if size is None else size
    return read_contents("x.tar", Window(lambda start, length: data[start : start + length], whole, 8192, 8192))


def reasons(found: Contents) -> dict[str, str]:
    return dict(found.skipped)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_where_the_index_says(format: int) -> None:
    """In each format, with names longer than a header has room for and names beyond ASCII, if the format has them."""
    long = (
        "d" * 90 + "/" + "n" * 90 + ".jpg" if format == tarfile.USTAR_FORMAT else "é" * 200 + "/" + "n" * 300 + ".jpg"
    )
    files = {"cats/1.jpg": b"one" * 700, long: b"long", "empty.jpg": b"", "./a//./b.jpg": b"two"}
    data = tar_bytes(files, format)
    found = contents(data)
    assert not found.skipped
    assert {name: data[s : s + n] for name, (s, n) in found.files.items()} == {
        "cats/1.jpg": b"one" * 700,
        long: b"long",
        "empty.jpg": b"",
        "a/b.jpg": b"two",
    }


def test_what_is_no_file_or_leads_elsewhere_is_skipped_with_its_reason() -> None:
    packed = io.BytesIO()
    kinds = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "null": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE}
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind in (*kinds.items(), ("folder", tarfile.DIRTYPE), ("volume", b"V")):
            header = tarfile.TarInfo(name)
            header.type, header.linkname = kind, "1.jpg"
            tar.addfile(header)
        for name in ("/etc/1.jpg", "../1.jpg", "a/../../1.jpg", "1.jpg"):
            header = tarfile.TarInfo(name)
            header.size = 1
            tar.addfile(header, io.BytesIO(b"x"))
    found = contents(packed.getvalue())
    assert list(found.files) == ["1.jpg"]
    said = reasons(found)
    assert {path.removeprefix("x.tar!") for path in said} == {
        *kinds,
        "volume",
        "/etc/1.jpg",
        "../1.jpg",
        "a/../../1.jpg",
    }
    assert "link" in said["x.tar!link"]
    assert "hard link" in said["x.tar!hard"]
    assert "device" in said["x.tar!null"]
    assert "leads out" in said["x.tar!../1.jpg"]


def test_a_hard_link_is_a_second_name_of_its_file() -> None:
    """As when it is unpacked: `tar` writes one where a file has two names."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind, target in (
            ("./1.cls", tarfile.REGTYPE, ""),
            ("./2.cls", tarfile.LNKTYPE, "./1.cls"),
            ("../3.cls", tarfile.LNKTYPE, "./1.cls"),
        ):
            header = tarfile.TarInfo(name)
            header.type, header.linkname, header.size = kind, target, 0 if target else 3
            tar.addfile(header, io.BytesIO(b"cat"))
    found = contents(packed.getvalue())
    assert found.files["2.cls"] == found.files["1.cls"]
    assert found.labels == {"1.cls": "cat", "2.cls": "cat"}
    assert list(reasons(found)) == ["x.tar!../3.cls"]


def test_sparse_files_are_skipped(tmp_path: Path) -> None:
    """Their bytes are in pieces. The header is that of GNU's old format, as `tar --sparse --format=gnu` writes it."""
    header = bytearray(tarfile.TarInfo("holes.jpg").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[483:495] = b"00000100000\0"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    found = contents(bytes(header) + tar_bytes({"1.jpg": b"x"}))
    assert "sparse" in reasons(found)["x.tar!holes.jpg"]
    assert list(found.files) == ["1.jpg"]


def test_of_a_name_that_comes_twice_the_last_one_counts() -> None:
    """As when it is unpacked; the label of the first one is gone as well."""
    data = tar_bytes([("1.jpg", b"old"), ("1.cls", b"cat"), ("1.jpg", b"new"), ("1.cls", b"")])
    found = contents(data)
    start, size = found.files["1.jpg"]
    assert data[start : start + size] == b"new"
    assert not found.labels
    assert set(reasons(found)) == {"x.tar!1.jpg", "x.tar!1.cls"}


@pytest.mark.parametrize(
    ("name", "data", "label"),
    [
        ("1.cls", b"3\n", "3"),
        ("1.cls", "café".encode(), "café"),
        ("1.cls", b"", None),
        ("1.cls", b"\xff\xfe", None),
        ("1.cls", b"x" * 70_000, None),
        ("1.json", b'{"label": "cat", "class": 4}', "cat"),
        ("1.json", b'{"label": null, "class": 4}', "4"),
        ("1.json", b'{"class": 4.0}', "4"),
        ("1.json", b'{"caption": "a cat"}', None),
        ("1.json", b'{"label": [1, 2]}', None),
        ("1.json", b"[1, 2]", None),
        ("1.json", b"[" * 50_000, None),
        ("1.json", b"{", None),
    ],
)
def test_labels_are_read_with_the_headers(name: str, data: bytes, label: str | None) -> None:
    assert contents(tar_bytes({name: data})).labels == ({} if label is None else {name: label})


def test_a_tar_that_is_cut_off_gives_what_comes_before() -> None:
    """Wherever it is cut: a file counts when all its bytes are there, and the rest is told."""
    data = tar_bytes({f"{number}.jpg": b"x" * 700 for number in range(3)})
    for length in range(512, 3 * 1536, 100):
        try:
            found = contents(data[:length])
        except DataError:
            assert length < 512 + 700
            continue
        assert len(found.files) == (length + 1536 - 1212) // 1536
        assert "x.tar" in reasons(found)


def test_a_damaged_header_in_the_middle_is_told() -> None:
    """The standard library ends there as if it was the end."""
    data = bytearray(tar_bytes({f"{number}.jpg": b"x" for number in range(3)}))
    data[1024 + 3] ^= 1
    found = contents(bytes(data))
    assert list(found.files) == ["0.jpg"]
    assert "damaged header" in reasons(found)["x.tar"]


def test_what_lies_behind_the_end_mark_is_told() -> None:
    found = contents(tar_bytes({"1.jpg": b"x"}) + tar_bytes({"2.jpg": b"y"}))
    assert list(found.files) == ["1.jpg"]
    assert "behind the mark of its end" in reasons(found)["x.tar"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (gzip.compress(tar_bytes({"1.jpg": b"x"})), "gzip -dk"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "zstd -dk"),
        (b"PK\x03\x04" + b"x" * 600, "not a tar"),
        (b"x" * 100, "not a tar"),
    ],
    ids=["nothing", "gzip", "zstd", "zip", "text"],
)
def test_what_is_no_tar_is_refused_in_one_line(data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        contents(data)
    assert "\n" not in str(error.value)


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    """Return the header block of a file with any 12 bytes as its size."""
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    block[124:136], block[156:157], block[148:156] = size, kind, b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


SIZES = [
    b"77777777777\0",  # 8 GB
    b"\x80" + b"\xff" * 11,  # 2 to the power 88
    b"\xff" * 12,  # -1
    b"\xff" * 10 + b"\xfe\0",  # -512
    b"-0000000001\0",
    b"no number!!\0",
]


@pytest.mark.parametrize("kind", [b"0", b"L", b"x", b"g", b"S"])
@pytest.mark.parametrize("size", SIZES)
def test_hostile_sizes_neither_hang_nor_fill_the_memory(kind: bytes, size: bytes) -> None:
    """In a file, in a long name, and in attributes."""
    good = tar_bytes({"1.jpg": b"x"})[:1024]
    found = contents(good + header("bad.jpg", size, kind) + tar_bytes({"2.jpg": b"y"}))
    assert "1.jpg" in found.files
    assert found.skipped or set(found.files) <= {"1.jpg", "bad.jpg", "2.jpg"}


def test_a_long_chain_of_long_names_ends() -> None:
    chain = (header("x", b"00000000001\0", b"L") + b"n" + bytes(511)) * 3000
    found = contents(tar_bytes({"1.jpg": b"x"})[:1024] + chain + tar_bytes({"2.jpg": b"y"}))
    assert "1.jpg" in found.files


def test_random_damage_is_never_an_exception() -> None:
    """Of a tar with all kinds of headers, with one to eight bytes changed anywhere."""
    files = {"a/1.jpg": b"x" * 600, "n" * 150: b"y", "é.cls": b"cat", "1.json": b'{"label": 1}'}
    clean = tar_bytes(files, tarfile.GNU_FORMAT)[:-8192] + tar_bytes(files)
    chance = random.Random(1)
    for _ in range(600):
        data = bytearray(clean)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.choice((0, 255, chance.randrange(256)))
        try:
            found = contents(bytes(data))
        except DataError:
            continue
        assert all(0 <= start <= start + size <= len(data) for start, size in found.files.values())


def test_bodies_are_stepped_over(tmp_path: Path) -> None:
    """Of a tar of 10 GB, with all but its headers a hole in the file, some KB are read."""
    path = write_tar(tmp_path / "large.tar", {})
    big = 5 * 2**30
    with path.open("r+b") as file:
        for number in range(2):
            info = tarfile.TarInfo(f"{number}.jpg")
            info.size = big
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            file.seek(big, io.SEEK_CUR)
        file.write(bytes(1024))
        file.flush()
        read: list[int] = []

        def piece(start: int, length: int) -> bytes:
            read.append(length)
            file.seek(start)
            return file.read(length)

        found = read_contents("large.tar", Window(piece, path.stat().st_size, 8192, 8192))
    assert [size for _, size in found.files.values()] == [big, big]
    assert sum(read) < 100_000


def test_pieces_grow_where_files_are_small() -> None:
    """By URL a piece is a request: 4 MB of small files take few, and large ones are stepped over."""
    asked: list[int] = []

    def fetch(data: bytes) -> int:
        asked.clear()

        def read(start: int, length: int) -> bytes:
            asked.append(length)
            return data[start : start + length]

        files = read_contents("x.tar", Window(read, len(data), 2**16, 2**20)).files
        return len(files)

    assert fetch(tar_bytes({f"{number}.jpg": bytes(3000) for number in range(1000)})) == 1000
    assert len(asked) < 12
    assert fetch(tar_bytes({f"{number}.jpg": bytes(2**20) for number in range(8)})) == 8
    assert sum(asked) < 2**20
