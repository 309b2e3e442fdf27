"""Random versions of an image: the same every time, and each kind of change for what it is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import affine_transform

from featstore.images.affine import transform
from featstore.images.augmentation import _matrix
from featstore.images.readers import make_reader, make_views_reader
from featstore.images.reading import Reading
from featstore.images.views import Augmentation
from helpers.photos import draw

STILL = {"mirror": False, "shear": 0.0, "zoom": 0.0}


def encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


RAW = encoded(draw("discs", 1, (40, 60)))


def versions(count: int = 8, raw: bytes = RAW, size: int = 32, **ranges: object) -> np.ndarray:
    reading = Reading(size, size, augmentation=Augmentation(**{**STILL, **ranges}))
    return make_views_reader(reading, range(1, count + 1))(raw).astype(int)


def plain(raw: bytes = RAW, size: int = 32) -> np.ndarray:
    return make_reader(Reading(size, size))(raw).astype(int)


def test_versions_repeat_and_differ() -> None:
    """One and the same for an image, a number and a seed, whatever else is read; different ones for all others."""
    some = versions(6, zoom=0.2, shear=11.5)
    assert np.array_equal(versions(3, zoom=0.2, shear=11.5), some[:3])
    other = versions(6, zoom=0.2, shear=11.5, seed=1)
    of_copy = versions(6, encoded(draw("discs", 2, (40, 60))), zoom=0.2, shear=11.5)
    pictures = [v.tobytes() for v in (*some, *other, *of_copy)]
    assert len(set(pictures)) == 18


def test_with_all_ranges_at_nothing_the_image_stays() -> None:
    """Every change comes from its own range."""
    assert all(np.array_equal(v, plain()) for v in versions())


def test_about_half_are_mirrored() -> None:
    """Nothing else changes."""
    found = versions(200, mirror=True)
    mirrored = sum(np.array_equal(v, plain()[:, ::-1]) for v in found)
    assert mirrored + sum(np.array_equal(v, plain()) for v in found) == 200
    assert 70 < mirrored < 130


def test_brightness_is_a_factor_within_its_range() -> None:
    """The same for all pixels, and clipped."""
    grey = encoded(Image.new("RGB", (20, 20), (100, 100, 100)))
    levels = versions(200, grey, brightness=0.3)
    assert (levels == levels[:, :1, :1, :1]).all()
    assert (levels.min(), levels.max()) == (pytest.approx(70, abs=2), pytest.approx(130, abs=2))
    white = encoded(Image.new("RGB", (20, 20), (250, 250, 250)))
    assert versions(20, white, brightness=0.3).max() == 255


def test_a_random_crop_is_a_part_of_the_image() -> None:
    """On a ramp from left to right and top to bottom, both ends are in it, and its share is in the range."""
    y, x = np.mgrid[:200, :200]
    ramp = encoded(Image.fromarray(np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)))
    found = versions(200, ramp, crop=0.25)
    widths = found[:, 16, -1, 0] - found[:, 16, 0, 0]
    heights = found[:, -1, 16, 1] - found[:, 0, 16, 1]
    areas = widths * heights / 200**2
    assert 0.2 < areas.min() < 0.35
    assert 0.8 < areas.max() <= 1
    ratios = widths / heights
    assert 0.7 < ratios.min() < 0.85
    assert 1.2 < ratios.max() < 1.42
    assert (np.diff(found[:, 16, :, 0], axis=1) >= 0).all()


@pytest.mark.parametrize("size", [(1, 500), (500, 1), (1, 1)])
def test_any_shape_can_be_cropped(size: tuple[int, int]) -> None:
    """The whole image is used where no box of the wanted aspect fits."""
    raw = encoded(Image.new("RGB", size, (9, 9, 9)))
    assert (versions(5, raw, crop=0.08) == 9).all()


def smooth(seed: int, size: int = 48) -> np.ndarray:
    few = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(few).resize((size, size), Image.Resampling.BICUBIC))


def mapped(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return what SciPy makes of `pixels` in floats, with edge pixels repeated outwards; its axes are (y, x)."""
    matrix, centre = matrix[::-1, ::-1], (np.array(pixels.shape[:2]) - 1) / 2
    channels = np.moveaxis(pixels.astype(float), 2, 0)
    mapped = [affine_transform(c, matrix, centre - matrix @ centre, order=1, mode="nearest") for c in channels]
    return np.stack(mapped, axis=2)


def test_versions_are_rounded_and_keep_the_mean_level() -> None:
    """Each pixel is the level nearest to that of an exact map, at the edges and beyond them as well."""
    random = np.random.default_rng(0)
    errors, edges = [], []
    for seed in range(60):
        pixels, matrix = smooth(seed), _matrix(*random.uniform(-0.4, 0.4, 2), *random.uniform(0.7, 1.4, 2))
        error = transform(pixels, matrix) - mapped(pixels, matrix)
        assert np.abs(error).max() <= 0.5 + 1e-4
        inner = np.zeros(error.shape, bool)
        inner[4:-4, 4:-4] = True
        errors.append(error.mean())
        edges.append(error[~inner].mean())
    assert np.abs(errors).max() < 0.05
    assert np.abs(edges).max() < 0.05
    assert abs(np.mean(errors)) < 0.005


@pytest.mark.parametrize("ranges", [{"rotation": 3.0}, {"zoom": 0.03}, {"shear": 3.0, "brightness": 0.004}])
def test_versions_of_an_image_have_its_mean_level(ranges: dict[str, float]) -> None:
    """Over many versions by small angles and factors, which show the same content."""
    for seed in range(3):
        image = Image.fromarray(smooth(seed, 64) // 2 + 64)
        found = versions(200, encoded(image), 64, **ranges)[:, 8:-8, 8:-8]
        assert found.mean() == pytest.approx(np.asarray(image)[8:-8, 8:-8].mean(), abs=0.05)


def test_a_quarter_turn_turns() -> None:
    """It equals that of numpy: rotation is about the centre and in degrees."""
    pixels = np.asarray(draw("discs", 3, (32, 32)))
    turned = transform(pixels, _matrix(np.pi / 2, 0.0, 1.0, 1.0)).astype(int)
    assert np.abs(turned - np.rot90(pixels, 1)).max() <= 1


def test_zoom_scales_about_the_centre_and_draws_the_edge_outwards() -> None:
    """A factor of two shows twice as much; beyond the edge its pixels go on, no black."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :] = (50, 60, 70)
    pixels[8:24, 8:24] = 200
    out = transform(pixels, _matrix(0.0, 0.0, 2.0, 2.0)).astype(int)
    assert (out[13:19, 13:19] == 200).all()
    assert (out[:10] == (50, 60, 70)).all()
    assert (out[:, -10:] == (50, 60, 70)).all()


def test_shear_slants_by_its_angle() -> None:
    """Columns slide past each other: at 45 degrees the lower the further, by what the angle says."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[32:] = 255
    out = transform(pixels, _matrix(0.0, np.radians(30), 1.0, 1.0)).astype(int)[..., 0]
    edges = (out < 128).sum(axis=0)
    assert (edges[56] - edges[8]) / 48 == pytest.approx(np.sin(np.radians(30)), abs=0.05)


def test_the_default_is_that_of_the_well_known_blog() -> None:
    """Shear of 0.2 radians, zoom of a fifth, mirror images; no rotation, brightness or crop."""
    assert Augmentation() == Augmentation(1.0, True, 0.0, 11.5, 0.2, 0.0, 0)
    assert Augmentation().shear == pytest.approx(np.degrees(0.2), abs=0.05)
