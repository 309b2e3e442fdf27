"""Subjects of an audit whose images are known by their facts alone: nothing is drawn and nothing is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from featstore.auditing.subject import Subject
from featstore.copies.groups import SamePictures
from featstore.copies.sketch import Sketch
from featstore.datasets.manifest import Manifest, Picture
from featstore.images.facts import ImageFacts
from featstore.system.files import FileStat
from featstore.training.fit import Prepared

PHOTO = ImageFacts("JPEG", "RGB", 500, 375, 30_000, 80, None, False, 110.0, 10.0, 230.0, 6.5, 0.0, 0.0)
GREY = np.zeros((96, 96), np.uint8)


class Known(NamedTuple):
    """An image: its label, its facts, its path below `data`, the bytes that it is a copy of, its group."""

    label: str | None
    facts: ImageFacts = PHOTO
    path: str = ""
    digest: str = ""
    group: str | None = None


def subject_of(images: Sequence[Known], side: int = 224, seed: int = 0) -> Subject:
    """Return the subject of an audit of `images`, for a base with an input of `side` px."""
    pictures, sketches = [], {}
    for number, image in enumerate(images):
        digest = image.digest or f"{number:064x}"
        path = f"data/{image.path or f'{image.label}/{number * 7919 % 10007}.jpg'}"
        pictures.append(Picture(path, cast(FileStat, None), image.label, "train", image.group, digest))
        sketches[digest] = Sketch(GREY, image.facts)
    plans = [SimpleNamespace(spec=SimpleNamespace(reading=SimpleNamespace(height=side, width=side)))]
    prepared = cast(Prepared, SimpleNamespace(manifest=Manifest("data/data.csv", tuple(pictures)), plans=plans))
    subject = Subject(prepared=prepared, sketches=sketches, copies=SamePictures((), 0.85), seed=seed)
    subject.__dict__["X"] = features_of([image for image in images if image.label is not None])
    return subject


def features_of(images: Sequence[Known]) -> NDArray[np.float32]:
    """Return features of 8 numbers that show whether an image is grey, and nothing else."""
    X = np.random.default_rng(0).normal(size=(len(images), 8)).astype(np.float32)
    X[:, 0] += [6.0 * image.facts.grey for image in images]
    return X


def photos(label: str, number: int, first: int = 0, **facts: Any) -> list[Known]:
    """Return photos that differ in their looks, sizes and qualities, whatever the label; `facts` are of all of them."""
    known = []
    for place in range(number):
        rng = np.random.default_rng(first + place)
        width, height = (640, 480) if rng.random() < 0.5 else (480, 640)
        varied = {
            "width": width,
            "height": height,
            "quality": int(rng.integers(70, 95)),
            "mean": float(rng.uniform(60, 180)),
            "sharpness": float(rng.normal(6, 1)),
            "white_border": float(rng.random() < 0.1),
        }
        known.append(Known(label, PHOTO._replace(**(varied | facts)), f"{label}/{rng.integers(1e6)}-{place}.jpg"))
    return known
