"""The list of outliers with images of other kinds planted among photos, flowers and digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from labels import as_subject, prepared_photos
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from featstore.auditing.outliers import check_outliers

SETS = ("cats_dogs", "flowers5", "mnist")
SEEDS = range(5)
EACH = 2  # planted images of a kind, but for those of ImageNet
_OBJECTS = 8  # of ImageNet: each is of another class
_POOL = 16  # images of a kind that can be planted
_ANIMALS = range(151, 294)  # classes of ImageNet: dogs, wolves, foxes, cats
_FLOWERS = (985, 986)


@dataclass
class _Images:
    """A subject of arrays: what the check of outliers asks for."""

    X: NDArray[np.float32]
    seed: int = 0
    progress: None = None

    @property
    def y(self) -> NDArray[np.intp]:
        return np.zeros(len(self.X), np.intp)

    @property
    def units(self) -> tuple[str, ...]:
        return tuple(map(str, range(len(self.X))))

    @property
    def labelled(self) -> list[_Place]:
        return [_Place(str(place)) for place in range(len(self.X))]


@dataclass
class _Place:
    path: str


def measure_outliers(data: Path, scratch: Path) -> None:
    """Print precision and recall of the list, and what it has of a set as it is."""
    plants = as_subject(prepared_photos(_write_plants(data, scratch / "data"), "plants", scratch))
    kind_of = np.array([picture.class_name for picture in plants.labelled])
    for name in SETS:
        X = as_subject(prepared_photos(data, name, scratch)).X
        print(f"  {name}: {len(_listed(X))} of {len(X):,} images listed as it is")
        kinds = [kind for kind in np.unique(kind_of) if kind != name]
        precision, found = [], {kind: [] for kind in kinds}
        for seed in SEEDS:
            random = np.random.default_rng(seed)
            planted = np.concatenate(
                [
                    random.choice(
                        np.flatnonzero(kind_of == kind), _OBJECTS if kind == "imagenet" else EACH, replace=False
                    )
                    for kind in kinds
                ]
            )
            listed = _listed(np.concatenate([X, plants.X[planted]]))
            precision.append(float((listed >= len(X)).mean()))
            is_found = np.isin(len(X) + np.arange(len(planted)), listed)
            for kind in kinds:
                found[kind].append(is_found[kind_of[planted] == kind])
        recalls = ", ".join(f"{kind} {np.mean(some):.2f}" for kind, some in found.items())
        every = np.mean(np.concatenate([np.concatenate(some) for some in found.values()]))
        print(
            f"    {len(planted)} planted: precision {np.mean(precision):.2f}, recall {every:.2f}: {recalls}", flush=True
        )


def _listed(X: NDArray[np.float32]) -> NDArray[np.intp]:
    return np.array([int(finding.paths[0]) for finding in check_outliers(_Images(X)).findings], np.intp)  # type: ignore[arg-type]


def _write_plants(data: Path, folder: Path) -> Path:
    """Write images of each kind as PNG to `folder`/images/plants/KIND, beside the weights; return `folder`."""
    folder.mkdir()
    (folder / "weights").symlink_to(data / "weights")
    random = np.random.default_rng(0)
    for name in SETS:
        files = sorted(path for path in (data / "images" / name / "test").rglob("*") if path.is_file())
        for number, place in enumerate(random.choice(len(files), _POOL, replace=False)):
            _save(Image.open(files[place]), folder, name, number)
    labels = (data / "images" / "imagenet_val" / "labels.csv").read_text().splitlines()[1:]
    objects = [path for path, label in (line.split(",")[:2] for line in labels) if _is_object(int(label))]
    for number, place in enumerate(random.choice(len(objects), 3 * _POOL, replace=False)):
        _save(Image.open(data / "images" / "imagenet_val" / objects[place]), folder, "imagenet", number)
    for number in range(EACH):
        _save(Image.fromarray(random.integers(0, 256, (200, 240, 3), np.uint8)), folder, "noise", number)
        _save(Image.new("RGB", (200, 200), tuple(random.integers(0, 256, 3).tolist())), folder, "one colour", number)
        _save(_draw_screenshot(random), folder, "screenshot", number)
    return folder


def _is_object(label: int) -> bool:
    return label not in _ANIMALS and label not in _FLOWERS


def _draw_screenshot(random: np.random.Generator) -> Image.Image:
    """Draw a window with a bar and lines of text."""
    image = Image.new("RGB", (640, 400), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 640, 30), fill=tuple(random.integers(0, 160, 3).tolist()))
    for line in range(10):
        letters = random.choice(list("abcdefghijklm   "), int(random.integers(20, 80)))
        draw.text((20, 45 + 32 * line), "".join(letters), fill="black")
    draw.rectangle((450, 60, 620, 200), outline="grey", fill=(230, 230, 230))
    return image


def _save(image: Image.Image, folder: Path, kind: str, number: int) -> None:
    target = folder / "images" / "plants" / kind / f"{number}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    image.convert("RGB").save(target)
