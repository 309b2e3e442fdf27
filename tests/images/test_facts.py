"""Facts about files: exact where the file says them, and nothing that a hostile file could break."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featstore.errors import UnreadableImage
from featstore.images.decode import decode_rgb
from featstore.images.facts import ImageFacts, facts_of
from helpers.photos import draw


def facts(image: Image.Image, kind: str = "PNG", **options: Any) -> ImageFacts:
    file = BytesIO()
    image.save(file, kind, **options)
    return facts_of(file.getvalue(), decode_rgb(file.getvalue()))


def uniform(level: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


def with_camera(maker: str, model: str) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = maker, model
    return exif


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_quality_of_a_jpeg_is_found(mode: str) -> None:
    """Pillow's libjpeg scales the standard tables, so the quality that was asked for comes back."""
    image = draw("discs", 0, (16, 16)).convert(mode)
    assert [facts(image, "JPEG", quality=quality).quality for quality in range(1, 101)] == list(range(1, 101))


def test_tables_of_another_maker_have_the_nearest_quality() -> None:
    """A table a little off the standard one of 75 is near 75."""
    image = draw("discs", 0, (16, 16))
    file = BytesIO()
    image.save(file, "JPEG", quality=75)
    tables = [list(table) for table in Image.open(file).quantization.values()]
    tables[0][5] += 3
    assert facts(image, "JPEG", qtables=tables).quality == 75


def test_a_photo_of_several_jpegs_is_a_jpeg() -> None:
    """Or phones that add a depth map would differ from phones that do not."""
    image = draw("discs", 0)
    known = facts(image, "MPO", save_all=True, append_images=[image], quality=60)
    assert (known.format, known.quality) == ("JPEG", 60)


@pytest.mark.parametrize(
    ("kind", "mode", "quality"), [("PNG", "P", None), ("PNG", "RGB", None), ("JPEG", "L", 75), ("WEBP", "RGB", None)]
)
def test_format_and_mode_are_those_of_the_file(kind: str, mode: str, quality: int | None) -> None:
    """The decoded image is RGB, whatever the file was."""
    known = facts(draw("discs", 0).convert(mode), kind)
    assert (known.format, known.mode, known.quality) == (kind, mode, quality)


def test_the_size_is_that_of_the_upright_image() -> None:
    """A phone stores a portrait lying on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    known = facts(uniform(90, (40, 30)), "JPEG", exif=exif)
    assert (known.width, known.height) == (30, 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_camera_is_named(kind: str) -> None:
    """In every format that has EXIF data."""
    assert facts(uniform(9), kind, exif=with_camera("Canon", "EOS 5D")).camera == "Canon EOS 5D"
    assert facts(uniform(9), kind).camera is None


@pytest.mark.parametrize(
    ("maker", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("", "X", "X"),
        ("A", "", "A"),
        (" ", " ", None),
        ("a\x1b[2Jb", "c\n\0\td", "a [2Jb c d"),
        ("x" * 10_000, "", "x" * 64),
    ],
)
def test_the_name_of_a_camera_is_short_and_printable(maker: str, model: str, camera: str | None) -> None:
    """It is untrusted text; the maker is not said twice."""
    assert facts(uniform(9), "TIFF", exif=with_camera(maker, model)).camera == camera


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(range(256))])
def test_damaged_exif_data_name_no_camera(exif: bytes) -> None:
    """The pixels are whole, so the image counts."""
    assert facts(uniform(9), "JPEG", exif=exif).camera is None


@pytest.mark.parametrize(("level", "white", "black"), [(0, 0, 1), (128, 0, 0), (255, 1, 0)])
def test_a_uniform_image_has_no_range_and_no_edges(level: int, white: float, black: float) -> None:
    """Its brightness is one level."""
    known = facts(uniform(level))
    assert known[-6:] == (level, level, level, 0, white, black)
    assert known.grey


def test_the_border_is_the_outermost_ring() -> None:
    """Here a white frame 5 px wide, and one black side of four."""
    image = np.full((40, 60, 3), 100, np.uint8)
    image[:5] = image[-5:] = image[:, :5] = image[:, -5:] = 255
    assert facts(Image.fromarray(image), "JPEG", quality=90).white_border > 0.9
    image[:, :5] = 0
    known = facts(Image.fromarray(image))
    assert known.black_border == pytest.approx(48 / 196, abs=1e-4)
    assert known.white_border == pytest.approx(148 / 196, abs=1e-4)


def test_a_picture_in_two_sizes_looks_the_same() -> None:
    """Large images are measured at 256 px, so sharpness is not resolution."""
    picture = draw("discs", 3, (256, 192))
    small, large = facts(picture), facts(picture.resize((192 * 4, 256 * 4), Image.Resampling.NEAREST))
    assert large.sharpness == pytest.approx(small.sharpness, abs=0.01)
    assert large.mean == pytest.approx(small.mean, abs=0.5)


def test_a_blurred_picture_is_less_sharp() -> None:
    """By far: the noise of a drawn picture is gone."""
    picture = draw("stripes", 1, (100, 100))
    blurred = picture.resize((20, 20), Image.Resampling.BOX).resize((100, 100), Image.Resampling.BICUBIC)
    assert facts(blurred).sharpness < facts(picture).sharpness - 1


def test_grey_is_what_has_no_colour() -> None:
    """Also where the file has three channels, and where a JPEG has rounded them."""
    picture = draw("discs", 5)
    assert not facts(picture).grey
    assert facts(picture.convert("L").convert("RGB"), "JPEG", quality=30).grey


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 2)])
def test_any_size_has_facts(size: tuple[int, int]) -> None:
    """A line is an image too."""
    known = facts(uniform(7, size))
    assert (known.width, known.height) == size
    json.dumps(known._asdict(), allow_nan=False)


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore")
def test_hostile_files_that_decode_have_facts_in_plain_json(real_data: Path) -> None:
    """Broken EXIF data, palettes, 16 bits, CMYK, films: none raises, and each number is finite."""
    described = 0
    for path in sorted((real_data / "images" / "nasty").iterdir()):
        raw = path.read_bytes()
        try:
            image = decode_rgb(raw)
        except UnreadableImage:
            continue
        known = facts_of(raw, image)
        assert json.loads(json.dumps(known._asdict(), allow_nan=False)) == known._asdict()
        described += 1
    assert described > 60
