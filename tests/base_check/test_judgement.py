"""Judgements without labels: what may be claimed of the figures that real networks gave, and what may not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featstore.base_check.judgement import (
    diversity,
    judge_by_mismatch,
    judge_by_score,
    mutual_information,
    prediction_statistics,
)
from featstore.bases.build import load_base
from featstore.bases.source import parse_source
from featstore.engines.tensorflow import TensorFlowNetwork
from featstore.images.preprocessing import NAMED

RNG = np.random.default_rng(0)


def features(cosine: float, n: int = 60, width: int = 40) -> NDArray[np.float64]:
    """Rows (n, width) whose mean cosine is about `cosine`."""
    common = np.zeros(width)
    common[0] = np.sqrt(cosine)
    own = RNG.normal(size=(n, width))
    own[:, 0] = 0
    return common + own / np.linalg.norm(own, axis=1, keepdims=True) * np.sqrt(1 - cosine)


def test_information_is_the_logarithm_of_the_inception_score() -> None:
    """It is 0 where all images get the same prediction, and log(n) where each gets its own with certainty."""
    assert mutual_information(np.full((5, 4), 0.25)) == pytest.approx(0)
    assert mutual_information(np.eye(4)[[0, 0, 0]]) == pytest.approx(0)
    assert mutual_information(np.eye(4)) == pytest.approx(np.log(4))
    seen = prediction_statistics(np.eye(4)[[0, 1, 1, 3]])
    assert seen[:3] == (3, 1, 0.5)
    assert seen.entropy == pytest.approx(0)


def test_diversity_is_one_less_the_mean_cosine() -> None:
    """It equals the definition, computed pair by pair."""
    f = np.random.default_rng(0).random((6, 5))
    cosines = [f[i] @ f[j] / np.linalg.norm(f[i]) / np.linalg.norm(f[j]) for i in range(6) for j in range(6) if i != j]
    assert diversity(f) == pytest.approx(1 - np.mean(cosines))
    assert diversity(np.ones((4, 3))) == pytest.approx(0)


def test_features_too_small_for_float16_are_none() -> None:
    """Random MobileNets end in 1e-10 to 1e-20, where differences mean nothing."""
    tiny = RNG.random((20, 8)) * 1e-18
    assert diversity(tiny) == pytest.approx(0)
    assert diversity(np.zeros((20, 8))) == pytest.approx(0)
    assert diversity(features(0.4)) == pytest.approx(0.6, abs=0.05)
    half = np.vstack([np.zeros((10, 40)), np.tile(np.eye(40)[0], (10, 1))])  # 100 of 190 pairs differ
    assert diversity(half) == pytest.approx(100 / 190)


def test_scores_are_judged_by_resampling_the_images() -> None:
    """A clear winner is named, equal outputs are alike, and equal predictions for all images are never right."""
    rng = np.random.default_rng(0)
    sharp = np.eye(20)[rng.integers(0, 20, 100)] * 0.9 + 0.005
    dull = np.full((100, 20), 0.05)
    judged = judge_by_score({"a": dull, "b": sharp, "c": sharp.copy()}, mutual_information)
    assert (judged.best, judged.alike) == ("b", ("c",))
    assert judge_by_score({"a": dull}, mutual_information).best is None


@pytest.mark.parametrize("dull", [np.zeros((30, 8)), RNG.random((30, 8)) * 1e-18, 1 + RNG.random((30, 8)) * 0.1])
def test_a_base_that_sees_the_same_in_all_images_is_never_right(dull: NDArray[np.float64]) -> None:
    """Random weights have a diversity of 0.02 at most with every variant."""
    outputs = {"keras": dull, "rescale": dull * 1.01, "raw": dull[::-1]}
    assert judge_by_score(outputs, diversity).best is None


@pytest.mark.parametrize("differ", [1e-3, 0.8])
def test_predictions_that_hardly_differ_are_never_right(differ: float) -> None:
    """Shuffled weights told 3e-6 nats, and always the same class; a random ConvNeXt 0.34, with 20 classes."""
    p = np.exp(RNG.normal(0, differ, (40, 1000)))
    p /= p.sum(axis=1, keepdims=True)
    assert 0 < mutual_information(p) < 0.35
    assert judge_by_score({"keras": p, "raw": p[::-1]}, mutual_information).best is None


def test_a_small_lead_is_no_claim_however_sure_it_is() -> None:
    """1/255 had a diversity of 0.568 where the right one had 0.566, in nearly all samples of the images."""
    right = features(0.434)
    ahead = right - np.eye(40)[0] * 0.05  # the same images, a little more different: ahead in every sample
    wrong = features(0.8)
    outputs = {"keras": right, "rescale": ahead, "raw": wrong}
    assert diversity(ahead) > diversity(right)
    judged = judge_by_score(outputs, diversity, "keras")
    assert (judged.best, judged.alike) == ("keras", ("rescale",))


def test_a_clear_lead_of_another_variant_is_named() -> None:
    """A user's weights may have been trained with another map than the base's own."""
    judged = judge_by_score({"keras": features(0.9), "rescale": features(0.3)}, diversity, "keras")
    assert (judged.best, judged.alike) == ("rescale", ())
    assert judge_by_mismatch({"keras": 0.3, "tf": 0.01}, "keras").best == "tf"


@pytest.mark.parametrize(
    "mismatches, alike",
    [
        ({"keras": 0.0964, "rescale": 0.0329, "torch": 0.0663, "raw": 46.7}, ("rescale", "torch")),  # 28x28 digits
        ({"keras": 0.1323, "torch": 0.0327, "raw": 4000}, ("torch",)),  # photos darkened to 40 %
        ({"keras": 0.0573, "torch": 0.1191, "rescale": 0.618}, ("torch",)),  # flowers
        ({"keras": 0.0168, "tf": 0.499, "rescale": 1.12}, ()),  # ImageNet
    ],
)
def test_the_usual_variant_stands_unless_the_images_speak_against_it(
    mismatches: dict[str, float], alike: tuple[str, ...]
) -> None:
    """Figures of real networks under their own variant."""
    judged = judge_by_mismatch(mismatches, "keras")
    assert (judged.best, judged.alike) == ("keras", alike)


def test_without_a_usual_variant_the_smallest_mismatch_is_named() -> None:
    """A user's own file does not say what it was trained with."""
    judged = judge_by_mismatch({"caffe": 900.0, "torch": 0.05, "tf": 0.02})
    assert (judged.best, judged.alike) == ("tf", ("torch",))


def test_a_mismatch_that_is_large_everywhere_is_no_match() -> None:
    """Shuffled weights of MobileNet; a perfect match does not divide by zero."""
    assert judge_by_mismatch({"keras": 1.17, "rescale": 1.84, "raw": 8e4}).best is None
    assert judge_by_mismatch({"keras": 0.94, "torch": 1.39, "raw": 4e4}, "keras").best is None  # MobileNetV2's
    assert judge_by_mismatch({"keras": 0.0, "raw": 3.0}) == ("keras", ())


def test_judgements_repeat_and_two_images_are_enough() -> None:
    """The resampling is seeded; of two images half the samples hold one alone, which shows nothing."""
    outputs = {"keras": features(0.3), "raw": features(0.5)}
    assert judge_by_score(outputs, diversity) == judge_by_score(outputs, diversity)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few = judge_by_score({k: v[:2] for k, v in outputs.items()}, diversity)
    assert {few.best, *few.alike} == {"keras", "raw"}


def real_outputs(real_data: Path, weights: str, n: int = 24) -> dict[str, NDArray[np.float64]]:
    """Probabilities of MobileNet 0.25 for n ImageNet photos under three variants, `keras` first."""
    files = sorted((real_data / "images" / "imagenet_val").glob("*.[jJ][pP]*[gG]"))[:n]
    images = np.stack([np.asarray(Image.open(f).convert("RGB").resize((224, 224))) for f in files])
    model: Any = load_base(parse_source("MobileNet", weights, 0.25, 0, True), 224, 224)
    variants = {"keras": "tf", "rescale": "rescale", "raw": "raw"}
    return {
        name: TensorFlowNetwork(model, NAMED[given])(images)[0].astype("float64") for name, given in variants.items()
    }


@pytest.mark.realdata
def test_the_predictions_of_a_real_network_exclude_raw_pixels(real_data: Path) -> None:
    """1/255 is too similar to be excluded. With random weights nothing is right."""
    outputs = real_outputs(real_data, str(real_data / "weights" / "mobilenet_2_5_224_tf.h5"))
    assert judge_by_score(outputs, mutual_information, "keras") == ("keras", ("rescale",))
    assert judge_by_score(real_outputs(real_data, "random", 8), mutual_information).best is None
