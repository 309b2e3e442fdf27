"""The search for copies on drawn images: each kind of copy is found, and different pictures are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from featstore.copies import sketching
from featstore.copies.job import find_copies
from featstore.copies.sketch_store import SketchStore
from featstore.extraction.cache import SKETCHES
from featstore.extraction.recipe import Recipe
from featstore.system.progress import OnStep, Silent
from featstore.training.fit import Prepared, prepare
from helpers.photos import write_photos
from helpers.scenes import scene

PIXELS = Recipe(model="pixels", size=16)


def prepared(data: Path) -> Prepared:
    return prepare(data, [PIXELS], cache=data.parent / "cache")


def pairs(found: Prepared) -> set[tuple[str, str, str]]:
    """The names of the files of each match, and its kind."""
    name = {p.digest: Path(p.path).stem for p in found.manifest.pictures}
    _, copies = find_copies(found.manifest, found.plans, found.cache)
    return {(*sorted((name[m.first], name[m.second])), m.kind) for m in copies.matches}  # type: ignore[misc]


def test_another_file_with_the_same_pixels_is_found(tmp_path: Path) -> None:
    """A lossless copy has other bytes and the same pixels."""
    data = write_photos(tmp_path / "data", 4)
    Image.open(data / "discs" / "000.png").save(data / "discs" / "copy.bmp")
    assert ("000", "copy", "pixels") in pairs(prepared(data))


def test_a_second_search_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sketches are kept by the content of the files, whatever their names."""
    data = write_photos(tmp_path / "data", 4)
    first = prepared(data)
    before, _ = find_copies(first.manifest, first.plans, first.cache)
    moved = data.rename(tmp_path / "moved")
    monkeypatch.setattr(sketching, "make_sketch", lambda raw: pytest.fail("decoded again"))
    second = prepared(moved)
    after, _ = find_copies(second.manifest, second.plans, second.cache)
    assert before.keys() == after.keys() and len(after) == 8


def test_an_interrupted_search_keeps_the_sketches_that_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class InterruptedAtTheThird(Silent):
        def steps(self, title: str, unit: str = "steps") -> OnStep:
            def on_step(done: int, total: int) -> None:
                if done == 3:
                    raise KeyboardInterrupt

            return on_step

    found = prepared(write_photos(tmp_path / "data", 4))
    pictures, cache = found.manifest.pictures, found.cache
    with pytest.raises(KeyboardInterrupt):
        sketching.sketch_all(pictures, cache, InterruptedAtTheThird())
    kept = SketchStore(cache.folder / SKETCHES).read({picture.digest for picture in pictures})
    assert len(kept) >= 3
    monkeypatch.setattr(sketching, "make_sketch", lambda raw: pytest.fail("decoded again"))
    sketching.sketch_all([picture for picture in pictures if picture.digest in kept], cache)


def test_a_file_that_is_gone_has_no_sketch(tmp_path: Path) -> None:
    """Its features are in the cache, so that training does not miss it; the search goes on without it."""
    found = prepared(write_photos(tmp_path / "data", 4))
    gone = found.manifest.pictures[0]
    Path(gone.path).unlink()
    sketches, _ = find_copies(found.manifest, found.plans, found.cache)
    assert gone.digest not in sketches and len(sketches) == 7


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Drawn pictures of 128 px, and in another class changed copies of some, each by the name of the change."""
    folder = tmp_path_factory.mktemp("planted")
    originals, copies = folder / "data" / "a", folder / "data" / "b"
    originals.mkdir(parents=True)
    copies.mkdir()
    for number in range(12):
        scene(number).save(originals / f"{number:03d}.png")
        scene(100 + number).save(copies / f"{100 + number}.png")
    for name, change in CHANGES.items():
        path = copies / f"{name}.{'jpg' if name == 'q60' else 'png'}"
        change(scene(ORIGINAL[name])).save(path, quality=60)
    return prepared(folder / "data")


def cropped(image: Image.Image) -> Image.Image:
    return image.crop((6, 6, 122, 122))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "q60": lambda image: image,
    "half": lambda image: image.resize((64, 64), Image.Resampling.BICUBIC),
    "mirrored": ImageOps.mirror,
    "cropped": cropped,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "grey": lambda image: image.convert("L"),
    "border": lambda image: ImageOps.expand(image, 10, "white"),
    "rotated": lambda image: image.transpose(Image.Transpose.ROTATE_90),
}
ORIGINAL = {name: number for number, name in enumerate(CHANGES)}


def test_each_kind_of_near_copy_is_found_and_nothing_else(planted: Prepared) -> None:
    """Every changed copy is matched with its original, and no two different pictures are."""
    found = pairs(planted)
    assert found == {(f"{ORIGINAL[name]:03d}", name, "near") for name in CHANGES}


def test_a_match_says_how_the_pictures_differ(planted: Prepared) -> None:
    name = {p.digest: Path(p.path).stem for p in planted.manifest.pictures}
    _, copies = find_copies(planted.manifest, planted.plans, planted.cache)
    changes = {name[m.first] if name[m.first] in CHANGES else name[m.second]: m.changes for m in copies.matches}
    assert changes["q60"] == ("saved again",)
    assert changes["half"] == ("resized",)
    assert changes["mirrored"] == ("mirrored",)
    assert changes["cropped"] == ("cropped",)
    assert "with a border" in changes["border"]
    assert changes["rotated"] == ("rotated",)


def test_the_same_images_make_the_same_matches(planted: Prepared) -> None:
    """In whatever order they come, and however many threads there are."""
    backwards = planted.manifest.with_pictures(planted.manifest.pictures[::-1])
    _, one = find_copies(planted.manifest, planted.plans, planted.cache)
    _, other = find_copies(backwards, planted.plans, planted.cache)
    assert {frozenset(m[:2]): m.score for m in one.matches} == {frozenset(m[:2]): m.score for m in other.matches}


def test_white_pages_are_not_copies_of_each_other(tmp_path: Path) -> None:
    """What correlates on paper and sky is noise."""
    data = tmp_path / "data"
    for number in range(8):
        rng = np.random.default_rng(number)
        page = 250 + rng.normal(0, 1.5, (100, 100, 3))
        (data / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(page.clip(0, 255).astype(np.uint8)).save(data / "ab"[number % 2] / f"{number}.png")
    assert pairs(prepared(data)) == set()


def test_tiny_drawings_are_told_from_each_other(tmp_path: Path) -> None:
    """Strokes of 28 px are parts of each other, so the whole of them has to be the same: mirrored or cropped too."""
    data = tmp_path / "data"
    for number in range(9):
        (data / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        stroke(number).save(data / "ab"[number % 2] / f"{number:02d}.png")
    ImageOps.mirror(stroke(3)).save(data / "a" / "mirrored.png")
    stroke(4).crop((1, 2, 26, 27)).save(data / "a" / "cropped.png")
    assert pairs(prepared(data)) == {("03", "mirrored", "near"), ("04", "cropped", "near")}


def stroke(number: int) -> Image.Image:
    """A thick line of 28 px that leans to one side, as a written 1."""
    rng = np.random.default_rng(number)
    image = Image.new("L", (112, 112))
    points = [(rng.integers(16, 96), y) for y in (16, 48, 80, 96)]
    ImageDraw.Draw(image).line(points, fill=255, width=10, joint="curve")
    return image.resize((28, 28), Image.Resampling.BOX)


def test_one_image_or_none_has_no_copies(tmp_path: Path) -> None:
    found = prepared(write_photos(tmp_path / "data", 3))
    for pictures in ((), found.manifest.pictures[:1]):
        sketches, copies = find_copies(found.manifest.with_pictures(pictures), found.plans, found.cache)
        assert len(sketches) == len(pictures) and not copies.matches
