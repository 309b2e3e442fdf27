"""Overlays: the colours are where the heat is, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from featstore.datasets.manifest import Picture
from featstore.explanation.overlay import AGAINST, FOR, overlay
from featstore.explanation.pictures import draw_explanations, write_overlays
from featstore.explanation.result import Explanation
from featstore.explanation.view import WHOLE_IMAGE, Part, upright_cells
from featstore.images.decode import decode_rgb
from featstore.images.identity import content_digest
from featstore.images.reading import Reading
from featstore.images.resize import fit_image, seen_part
from featstore.system.files import FileStat


def explained(heat: ArrayLike, view: Part = WHOLE_IMAGE, path: str = "a.png") -> Explanation:
    return Explanation(
        path=path,
        label="cat",
        probability=0.9,
        answer="cat",
        method="cam",
        heat=np.asarray(heat, np.float32),
        view=view,
    )


def warmth(picture: Image.Image) -> NDArray[np.int_]:
    """How much more red than blue each pixel has: 0 for grey."""
    pixels = np.asarray(picture).astype(int)
    return np.asarray(pixels[..., 0] - pixels[..., 2])


def test_what_speaks_for_is_orange_and_what_speaks_against_is_blue() -> None:
    """Two colours that every reader can tell; a cell of no heat stays grey, whatever the colour of the image."""
    image = Image.new("RGB", (120, 60), (200, 30, 90))
    drawn = warmth(overlay(image, explained([[2, 0, -1]]), 120))
    assert drawn.shape == (60, 120)
    assert drawn[30, 20] > 100 and drawn[30, 60] == 0 and drawn[30, 100] < -40
    assert (FOR, AGAINST) == ("#D55E00", "#0072B2")


def test_an_image_without_heat_is_grey() -> None:
    """Such as one whose answer does not depend on it."""
    drawn = np.asarray(overlay(Image.new("RGB", (40, 40), (200, 30, 90)), explained(np.zeros((7, 7))), 40))
    assert (drawn == drawn[..., :1]).all()


def test_the_middle_of_a_cell_has_its_heat() -> None:
    """Between the middles it is interpolated; the hottest pixel is in the hottest cell."""
    drawn = warmth(overlay(Image.new("RGB", (70, 70), "white"), explained(np.eye(7)[:1].T @ np.eye(7)[3:4]), 70))
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert (row // 10, column // 10) == (0, 3)


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (224, 224), (51, 50), (640, 37)])
@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("resize", [None, (36, 40)])
def test_the_seen_part_is_what_the_base_sees(size: tuple[int, int], fit: str, resize: tuple[int, int] | None) -> None:
    """An image whose colours are its coordinates is read, and says which of them the corners of the input have."""
    width, height = size
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    image = Image.fromarray((np.stack([x, y, np.ones_like(x)], axis=2) * 255).round().astype(np.uint8))
    reading = Reading(30, 32, fit=fit, resize=resize)  # type: ignore[arg-type]
    pixels = fit_image(image, reading) / 255
    left, top, right, bottom = seen_part(size, reading)
    inside = pixels[..., 2] > 0.99  # what is padded is black
    across = (np.arange(32) + 0.5) / 32 * (right - left) + left
    down = (np.arange(30) + 0.5) / 30 * (bottom - top) + top
    found = np.argwhere(inside)
    assert len(found)
    close = 2 / 30 * max(right - left, bottom - top, 1)
    for row, column in found[:: max(1, len(found) // 50)]:
        assert pixels[row, column, 0] == pytest.approx(across[column], abs=close)
        assert pixels[row, column, 1] == pytest.approx(down[row], abs=close)


def test_what_the_base_does_not_see_stays_grey() -> None:
    """The sides of a wide image that is cropped."""
    drawn = warmth(overlay(Image.new("RGB", (90, 30), "white"), explained([[1]], (1 / 3, 0, 2 / 3, 1)), 90))
    assert not drawn[:, :29].any() and (drawn[5:-5, 32:58] > 100).all() and not drawn[:, 61:].any()


def test_cells_that_are_padded_lie_outside() -> None:
    """A wide image with a third of padding above and below: the middle of three rows of cells is all there is."""
    heat = [[5], [1], [5]]
    drawn = warmth(overlay(Image.new("RGB", (90, 30), "white"), explained(heat, (0, -1, 1, 2)), 90))
    assert 0 < drawn[15, 45] < drawn[1, 45]


def test_a_picture_of_each_image_and_a_sheet(tmp_path: Path) -> None:
    """Images of one name in two folders have two pictures; one that is gone has none."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (40, 30), "white").save(tmp_path / folder / "a.png")
    paths = [str(tmp_path / place) for place in ("one/a.png", "two/a.png", "gone.png")]
    several = [explained(np.eye(3), path=path) for path in paths]
    written = write_overlays(several, tmp_path / "out")
    assert [path.name for path in written] == ["1-a.png", "2-a.png"]
    with Image.open(written[0]) as picture:
        assert picture.size == (448, 336)
    sheet = draw_explanations(several, ["cat", "dog", None], "кошки")
    assert sheet.startswith(b"\x89PNG") and sheet == draw_explanations(several, ["cat", "dog", None], "кошки")
    assert draw_explanations(several, [None] * 3, "t", "pdf").startswith(b"%PDF")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_cells_of_an_image_that_lies_on_its_side_are_turned_with_it(tmp_path: Path, orientation: int) -> None:
    """The reading `keras-compat` takes no notice of EXIF, and pictures are shown upright."""
    stored = np.zeros((20, 40, 3), np.uint8)
    stored[:10, :10] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif)
    raw = (tmp_path / "a.jpg").read_bytes()
    picture = Picture(str(tmp_path / "a.jpg"), FileStat(0, 0, 0, 0), known_digest=content_digest(raw))
    heat = np.zeros((1, 2, 4), np.float32)
    heat[0, 0, 0] = 1
    [cells] = upright_cells([picture], Reading(20, 40, "keras-compat"), heat)
    upright = np.asarray(decode_rgb(raw).convert("L"))
    row, column = np.argwhere(cells)[0]
    assert upright[row * 10 + 5, column * 10 + 5] > 200
    assert upright_cells([picture], Reading(20, 40), heat)[0].tolist() == heat[0].tolist()
