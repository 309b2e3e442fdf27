"""The defaults of the Keras heads from 60 images to 20,000: how far each is from the best setting of a small grid.

Rows of DenseNet121, pooled: two classes of photos up to 600 images, ten classes of CIFAR-10 above. A quarter of the
images chooses the epoch. The best setting is chosen on the test split, in favour of the grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

PHOTO_SIZES, TINY_SIZES = (60, 200, 600), (2000, 20000)
HEADS = ("linear", "mlp", "cosine", "bn-dropout", "vgg-fc", "fc-bn")
RATES = (1, 1 / 3, 3)  # times that of the head
Rows = dict[str, tuple[np.ndarray, np.ndarray]]


def measure_head_defaults(data: Path, scratch: Path, cache: Path | None = None, most: int = 20000) -> None:
    """Print a line for each size and head; CIFAR-10 is left out where `data` does not have it.

    data: the folder with images/cats_dogs, and images/cifar10 as folders of classes. most: of the images.
    """
    weights = data / "weights" / "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"
    for folder, side, sizes in (("cats_dogs", 224, PHOTO_SIZES), ("cifar10", 64, TINY_SIZES)):
        images = data / "images" / folder
        if not images.exists():
            print(f"  {images} is not there: sizes {', '.join(map(str, sizes))} are left out")
            continue
        rows = _load(
            images, {"model": "DenseNet121", "weights": str(weights), "size": side}, cache or scratch / "cache"
        )
        for size in filter(lambda size: size <= most, sizes):
            for line in _measure(rows, size):
                print(f"  {line}", flush=True)


def _measure(rows: Rows, size: int) -> Iterator[str]:
    from featstore.evaluation.intervals import wilson_interval

    part = _some(rows, size)
    n, [(logistic, _)] = len(part["test"][1]), _fits(part, "logistic", [{}])
    low, high = wilson_interval(logistic * n, n)
    yield f"{size:6} images  logistic    {logistic:.3f} [{low:.3f}, {high:.3f}]"
    for head in HEADS:
        from featstore.heads.registry import make_head

        usual: Any = make_head(head)
        found = _fits(part, head, [{"rate": usual.rate * factor} for factor in RATES])
        (default, epochs), best = found[0], max(range(len(RATES)), key=lambda place: found[place][0])
        yield (
            f"{size:6} images  {head:10}  {default:.3f} after {epochs['epochs']} epochs, best {epochs['best_epoch']}; "
            f"best of the grid {found[best][0]:.3f}, at rate {usual.rate * RATES[best]:.1g}"
        )


def _fits(part: Rows, head: str, settings: list[Mapping[str, Any]]) -> list[tuple[float, dict[str, Any]]]:
    """Return the accuracy on the test split, and what training selected, for each of `settings`."""
    from featstore.heads.registry import make_head

    found = []
    for parameters in settings:
        estimator = make_head(head, parameters)
        estimator.fit(*part["train"], part["val"], 0)
        X, y = part["test"]
        found.append((float((estimator.predict_proba(X).argmax(axis=1) == y).mean()), estimator.selected()))
    return found


def _load(images: Path, base: dict[str, Any], cache: Path) -> Rows:
    from featstore import complete_splits, extract, load_features

    extraction = extract(images, cache=cache, **base)
    manifest, spec = complete_splits(extraction.manifest), extraction.features[0].spec
    rows = {}
    for split in ("train", "val", "test"):
        X, y, _ = load_features(manifest, spec, split=split, cache=cache)
        rows[split] = np.asarray(X, np.float32), np.searchsorted(manifest.classes, y)
    return rows


def _some(rows: Rows, size: int) -> Rows:
    """Return three quarters of `size` images to train on, a quarter to stop on, classes alike, and all test images."""
    random, part = np.random.default_rng(0), {"test": rows["test"]}
    for split, share in (("train", 0.75), ("val", 0.25)):
        X, y = rows[split]
        turn = np.argsort(random.permutation(len(y)))
        place_in_class = np.empty(len(y), int)
        for label in np.unique(y):
            place_in_class[y == label] = np.argsort(np.argsort(turn[y == label]))
        which = np.lexsort((y, place_in_class))[: round(share * size)]
        part[split] = X[which], y[which]
    return part
