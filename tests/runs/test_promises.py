"""Sets of classes cover what they promise on real photos and digits."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import betabinom

import featstore
from featstore.errors import LeakWarning
from featstore.heads.registry import HeadName

HEADS: dict[HeadName, dict[str, Any]] = {"logistic": {"C": 1e-3}, "bn-dropout": {"epochs": 8}}


@pytest.mark.realdata
@pytest.mark.parametrize("data", ["cats_dogs", "flowers5", "mnist"])
def test_test_images_are_covered_as_promised(data: str, real_data: Path, tmp_path: Path) -> None:
    """Heads on few pixels are often wrong, so that sets are needed.

    With n scores, a threshold of rank k covers a share of new images that is drawn from Beta(k, n + 1 - k). So the
    number of test images that are covered is beta-binomial, and fewer than chance makes once in 1,000 is too few.
    """
    folder = real_data / "images" / data
    for head, parameters in HEADS.items():
        with pytest.warns(LeakWarning) if data == "flowers5" else nullcontext():
            run = featstore.train_head(
                folder,
                head,
                parameters,
                model="pixels",
                size=10,
                cache=tmp_path / "cache",
                runs=tmp_path / "runs",
            )
        assert run.conformal is not None
        n = len(run.conformal)
        for level in (0.8, 0.9, 0.95):
            images = featstore.predict(run, folder / "test", unsure=level, cache=tmp_path / "cache").images
            covered = sum(Path(image.path).parent.name in (image.answers or ()) for image in images)
            rank = math.ceil((n + 1) * level)
            chance = betabinom(len(images), rank, n + 1 - rank)
            assert chance.cdf(covered) > 0.001, (head, level, covered)
            # and not by answering with all classes; of cats and dogs, 6 of 10 right take sets of 1.5 classes
            if level == 0.8:
                assert sum(len(image.answers or ()) for image in images) < 0.8 * len(images) * len(run.classes)
