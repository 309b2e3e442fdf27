"""Levels that end far below white are told, not stretched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featstore
from featstore.images import identity
from featstore.images.decode import brightest_level
from featstore.images.levels import Brightest, notes_on_levels
from featstore.images.reading import Reading
from helpers.encoded import png, tiff

READING = Reading(8, 8)


@pytest.mark.parametrize(
    ("brightest", "bits", "white"),
    [([4080], 12, 4095), ([100, 16000], 14, 16383), ([9], 8, 255), ([32767], 15, 32767)],
)
def test_unused_levels_are_told(brightest: list[int], bits: int, white: int) -> None:
    """With the option that uses them, by the brightest of all files."""
    (note,) = notes_on_levels({str(level): Brightest(level, grey=True) for level in brightest}, READING)
    assert f"no level above {max(brightest):,} of 65,535" in note
    assert note.endswith(f"features with bits={bits} take {white:,} for white")


@pytest.mark.parametrize(
    ("brightest", "reading"),
    [({}, READING), ({"a": 32768}, READING), ({"a": 9, "b": 65535}, READING), ({"a": 9}, Reading(8, 8, bits=12))],
)
def test_nothing_is_told_where_nothing_is_unused(brightest: dict[str, int], reading: Reading) -> None:
    """A dark image among bright ones is dark; and who gives the bits knows."""
    grey = {path: Brightest(level, grey=True) for path, level in brightest.items()}
    assert list(notes_on_levels(grey, reading)) == []


@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize(("white", "told"), [(4095, True), (65535, False)])
def test_unused_levels_of_colours_are_told(bands: int, white: int, told: bool) -> None:
    """An opaque alpha band is no colour. No option stretches colours, so none is named."""
    pixels = np.full((4, 4, bands), 65535, ">u2")
    pixels[..., :3] = white
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    level = brightest_level(png(4, 4, 16, 2 if bands == 3 else 6, rows))
    assert level is not None
    notes = list(notes_on_levels({"a": level}, READING))
    assert [note.startswith("1 colour image of 16 bits has no level above 4,095") for note in notes] == [True] * told
    assert not any("bits=" in note for note in notes)


def test_an_extraction_tells_and_heeds_the_bits(tmp_path: Path) -> None:
    """The note comes with the extraction, and `bits` makes the range full under a key of its own."""
    levels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65
    Image.fromarray(levels).save(tmp_path / "a.png")
    options = {"model": "pixels", "preprocess": "raw", "size": 8, "cache": tmp_path / "cache"}
    dark = featstore.extract([tmp_path / "a.png"], **options)
    assert dark.manifest.notes == (
        "1 grey image of 16 bits has no level above 4,095 of 65,535, and so next to no contrast: features with bits=12 "
        "take 4,095 for white",
    )
    full = featstore.extract([tmp_path / "a.png"], bits=12, **options)
    assert full.manifest.notes == ()
    assert full.features[0].spec.key != dark.features[0].spec.key
    one, other = (
        featstore.load_features(e.manifest, e.features[0].spec, cache=tmp_path / "cache").X for e in (dark, full)
    )
    assert (one.max(), other.max()) == (16, 255)


def test_old_rows_of_a_negative_are_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier version read white as black. Its rows are not found, and those of other files still are."""
    ramp = np.linspace(0, 65535, 8).astype("<u2")
    (tmp_path / "scan.tif").write_bytes(tiff(np.tile(ramp, 8).tobytes(), 8, 8, (16,), 0))
    Image.fromarray(np.tile(np.round(ramp / 257).astype(np.uint8), (8, 1))).save(tmp_path / "photo.png")
    options = {"model": "pixels", "preprocess": "raw", "size": 8, "cache": tmp_path / "cache"}
    files = [tmp_path / "scan.tif", tmp_path / "photo.png"]
    with monkeypatch.context() as patch:
        patch.setattr(identity, "_was_misread", lambda raw: False)
        featstore.extract(files, **options)
    now = featstore.extract(files, **options)
    assert now.features[0].computed == 1
    scan, photo = featstore.load_features(now.manifest, now.features[0].spec, cache=tmp_path / "cache").X
    assert np.array_equal(scan, 255 - photo)
