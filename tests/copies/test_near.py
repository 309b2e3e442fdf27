"""The comparison of pixels: many copies of one picture do not make it slow, and the coarse one rules out no copy."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from featstore.copies import near
from featstore.copies.coarse import LEAST, best_coarse
from featstore.copies.fine import Fits, best_fine
from featstore.copies.near import find_near
from featstore.copies.outline import details, within_margins
from featstore.copies.pairs import Pairs
from featstore.copies.sketch import Sketch, grey_of, make_sketch
from helpers.encoded import encoded
from helpers.scenes import scene


def pair(first: Image.Image, second: Image.Image, turn: int = 0) -> tuple[np.ndarray, Pairs]:
    return np.stack([grey_of(first), grey_of(second)]), Pairs(np.array([0]), np.array([1]), np.array([turn]))


def brighter(number: int) -> Sketch:
    return make_sketch(encoded(ImageEnhance.Brightness(scene(3)).enhance(1 - number / 100)))


def test_many_copies_of_one_picture_are_joined_and_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty have 435 pairs; once they are joined, the others are left out."""
    sketches = [brighter(number) for number in range(30)]
    compared: list[int] = []

    def counted(greys: np.ndarray, pairs: Pairs) -> Fits:
        compared.append(len(pairs))
        return best_fine(greys, pairs)

    monkeypatch.setattr(near, "_AT_ONCE", 32)
    monkeypatch.setattr(near, "best_fine", counted)
    X = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    found = find_near(sketches, X)
    joined = {number for one in found for number in one[:2]}
    assert joined == set(range(30))
    assert sum(compared) < 100  # of 248 that were proposed


@pytest.mark.parametrize("share", [0.78, 0.85, 0.9, 0.95])
def test_a_crop_fits_at_its_scale(share: float) -> None:
    """In whichever direction: the picture is larger in the crop."""
    cut = round((1 - share) * 64)
    greys, pairs = pair(scene(1), ImageOps.crop(scene(1), cut))
    assert best_coarse(greys, pairs)[0] > LEAST
    for one, scale in ((pairs, 128 / (128 - 2 * cut)), (pairs.swapped(), (128 - 2 * cut) / 128)):
        fit = best_fine(greys, one)
        assert fit.score[0] > 0.88 and fit.scale[0] == pytest.approx(scale, rel=0.04)


def test_different_pictures_do_not_fit() -> None:
    for number in range(2, 12):
        greys, pairs = pair(scene(1), scene(number))
        assert best_fine(greys, pairs).score[0] < 0.6


def test_a_mirrored_picture_fits_mirrored_only() -> None:
    for turn, fits in ((0, False), (4, True)):
        greys, pairs = pair(scene(1), ImageOps.mirror(scene(1)), turn)
        assert (best_fine(greys, pairs).score[0] > 0.95) == fits


def test_no_pairs_have_no_fits() -> None:
    greys, pairs = pair(scene(1), scene(2))
    assert len(best_fine(greys, pairs.some(slice(0))).score) == 0
    assert len(best_coarse(greys, pairs.some(slice(0)))) == 0


def test_details_have_no_brightness() -> None:
    """A light on one side of the picture, or on all of it, is not compared."""
    grey = grey_of(scene(1)).astype(np.float32) / 2
    light = np.linspace(0, 100, 96, dtype=np.float32)
    plain, lit = (details(image.astype(np.uint8)[None], 96, 0.03) for image in (grey, grey + light))
    assert np.abs(plain - lit)[:, 12:-12, 12:-12].max() < 3


@pytest.mark.parametrize("colour", ["white", "black"])
def test_margins_are_cut_off(colour: str) -> None:
    """What is left is the picture; one without margins has none to cut."""
    inner = within_margins(grey_of(ImageOps.expand(scene(1), 12, colour)))
    assert inner is not None
    assert np.corrcoef(inner.ravel(), grey_of(scene(1)).ravel())[0, 1] > 0.9
    assert within_margins(grey_of(scene(1))) is None


def marked(number: int, left: int, top: int) -> Image.Image:
    """A bar on a ground that changes slowly, in colours of its own."""
    rng = np.random.default_rng(number)
    ground = Image.fromarray(rng.integers(0, 200, (4, 4, 3), np.uint8)).resize((128, 128), Image.Resampling.BICUBIC)
    ground.paste((255, 255, 255), (left, top, left + 40, top + 12))
    return ground


@pytest.mark.parametrize("ground", [1, 2])
def test_a_sign_that_lies_elsewhere_is_another_picture(ground: int) -> None:
    """Details of a bar are those of any bar: on the same ground its place counts, and on another one the ground."""
    greys, pairs = pair(marked(1, 40, 50), marked(ground, 56 if ground == 1 else 44, 70 if ground == 1 else 52))
    assert best_fine(greys, pairs).score[0] < 0.75


@pytest.mark.parametrize("share", [1.0, 0.9, 0.8])
def test_copies_of_images_with_few_details_fit(share: float) -> None:
    """A sign on a plain ground, cropped and darker."""
    image = ImageOps.expand(Image.new("L", (30, 40), 90), (50, 40), 230).convert("RGB")
    image.paste((20, 20, 20), (60, 50, 70, 70))
    copy = ImageEnhance.Brightness(ImageOps.crop(image, round((1 - share) * 60))).enhance(0.9)
    assert best_fine(*pair(image, copy)).score[0] > 0.85


def test_images_of_a_few_pixels_are_no_near_copies() -> None:
    """At 8 px one handwritten digit fits another: the digits of the first steps had eight false leaks."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = [Image.fromarray((image * 15).astype("uint8")) for image in digits.images[:200]]
    X = digits.data[:200].astype(np.float32)
    assert find_near([make_sketch(encoded(image)) for image in images], X) == []
    larger = [make_sketch(encoded(image.resize((20, 20)))) for image in images]
    assert find_near(larger, X)  # so they are alike


def test_a_low_banner_has_pixels_enough() -> None:
    """Of 97 x 16 px, it tells more than a digit of 20 x 20."""
    banner = scene(5, 200).crop((0, 80, 196, 112))
    half = banner.resize((98, 16), Image.Resampling.LANCZOS)
    assert find_near([make_sketch(encoded(image)) for image in (banner, half)], np.eye(2, dtype=np.float32))
