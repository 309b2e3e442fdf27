"""Thumbnails: the right image at each place, upright, none that was not measured, and within their budget."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featstore.datasets.manifest import Picture
from featstore.explanation.result import Explanation
from featstore.images.identity import content_digest
from featstore.reporting import thumbnails
from featstore.reporting.thumbnails import LARGE, SMALL, Sprite, make_thumbnails
from featstore.system.files import FileStat

COLOURS = {"red.png": (220, 20, 20), "green.png": (20, 200, 20), "blue.png": (20, 20, 220)}


def picture(path: Path) -> Picture:
    return Picture(str(path), FileStat.of(os.stat(path)), known_digest=content_digest(path.read_bytes()))


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Picture]:
    for name, colour in COLOURS.items():
        Image.new("RGB", (90, 60), colour).save(tmp_path / name)
    return {name: picture(tmp_path / name) for name in COLOURS}


def tile(sprite: Sprite, path: str) -> Image.Image:
    row, column = divmod(sprite.places[path], sprite.columns)
    left, top = column * sprite.side, row * sprite.side
    sheet = Image.open(BytesIO(sprite.webp)).convert("RGBA")
    return sheet.crop((left, top, left + sprite.side, top + sprite.side))


def colour_in_the_middle(sprite: Sprite, path: str) -> str:
    red, green, blue, alpha = tile(sprite, path).getpixel((sprite.side // 2, sprite.side // 2))  # type: ignore[misc]
    assert alpha == 255
    return ("red.png", "green.png", "blue.png")[int(np.argmax([red, green, blue]))]


def test_each_image_is_at_its_place(pictures: dict[str, Picture]) -> None:
    made = make_thumbnails(pictures, ["blue.png"], {})
    assert (made.small.side, made.large.side) == (SMALL, LARGE)
    assert {path: colour_in_the_middle(made.small, path) for path in pictures} == {path: path for path in pictures}
    assert list(made.large.places) == ["blue.png"]
    assert colour_in_the_middle(made.large, "blue.png") == "blue.png"
    assert not made.heat.places
    assert not made.unreadable


def test_the_whole_image_is_shown_and_the_rest_of_its_tile_is_transparent(pictures: dict[str, Picture]) -> None:
    shown = np.asarray(tile(make_thumbnails(pictures, [], {}).small, "red.png"))[..., 3] > 0
    rows, columns = shown.any(axis=1).sum(), shown.any(axis=0).sum()
    assert (columns, rows) == (64, pytest.approx(64 * 60 / 90, abs=1))


def test_images_are_upright(tmp_path: Path) -> None:
    """A phone stores a portrait on its side and says so in EXIF; the base sees it upright, and so does the reader."""
    stored = Image.new("RGB", (80, 40), "red")
    stored.paste("blue", (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise: the left of what is stored is the top
    stored.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    shown = tile(make_thumbnails({"phone.jpg": picture(tmp_path / "phone.jpg")}, [], {}).small, "phone.jpg")
    red, _, blue, _ = shown.getpixel((32, 8))  # type: ignore[misc]
    assert blue > red
    red, _, blue, _ = shown.getpixel((32, 56))  # type: ignore[misc]
    assert red > blue


def test_a_file_that_is_no_longer_what_was_measured_has_no_thumbnail(pictures: dict[str, Picture]) -> None:
    """An image under the name of another would be worse than none."""
    Image.new("RGB", (90, 60), "white").save(pictures["red.png"].path)
    os.unlink(pictures["blue.png"].path)
    made = make_thumbnails(pictures, list(pictures), {})
    assert list(made.small.places) == list(made.large.places) == ["green.png"]
    assert colour_in_the_middle(made.small, "green.png") == "green.png"
    assert made.unreadable == {
        "red.png": "was changed while the report was made",
        "blue.png": "cannot be opened: No such file or directory",
    }


def test_an_explained_image_has_its_heat_beside_it(pictures: dict[str, Picture]) -> None:
    heat = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    path = pictures["green.png"].path
    explanation = Explanation(path=path, label="a", probability=0.9, answer="a", method="cam", heat=heat)
    made = make_thumbnails(pictures, [], {"green.png": explanation})
    assert list(made.large.places) == list(made.heat.places) == ["green.png"]
    assert made.heat.webp != made.large.webp
    heated = np.asarray(tile(made.heat, "green.png").convert("RGB"), float)
    assert heated[40, 30, 0] > heated[120, 130, 0] + 50  # the hot corner is red


def test_thumbnails_that_do_not_compress_are_coarser_not_larger(
    pictures: dict[str, Picture], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    some = {"noise.png": picture(tmp_path / "noise.png")}
    usual = len(make_thumbnails(some, [], {}).small.webp)
    monkeypatch.setattr(thumbnails, "_MOST_SMALL", usual - 1)
    assert 0 < len(make_thumbnails(some, [], {}).small.webp) < usual


def test_nothing_to_show_is_no_error() -> None:
    made = make_thumbnails({}, [], {})
    assert not made.small.places
