"""The settings of fine-tuning, the optimizers that they make, and the batches of augmented images."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Picture
from featstore.datasets.sources import scan
from featstore.errors import DataError, UsageError
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.finetuning.batches import AugmentedBatches
from featstore.finetuning.optimizers import make_groups
from featstore.finetuning.settings import FineTuneSettings
from featstore.images.readers import make_views_reader
from featstore.images.views import Augmentation
from featstore.spec import FeatureSpec
from helpers.photos import draw


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs=0: expected a whole number of at least 1"),
        ({"batch": 0}, "batch=0: expected a whole number of at least 1"),
        ({"patience": 0}, "patience=0: expected a whole number of at least 1"),
        ({"memory": 0}, "memory=0: expected a whole number of at least 1"),
        ({"epochs": 1.5}, "epochs=1.5: expected a whole number of at least 1"),
        ({"seed": -1}, "seed=-1: expected a whole number of at least 0 and at most 4294967295"),
        ({"rate": 0}, "a rate above 0"),
        ({"rate": float("nan")}, "a rate above 0"),
        ({"rate": float("inf")}, "a rate above 0"),
        ({"momentum": 1}, "a momentum from 0 to below 1"),
        ({"momentum": -0.1}, "a momentum from 0 to below 1"),
        ({"warmup": -1}, "a warm-up and a clip of 0 or more"),
        ({"warmup": float("inf")}, "a warm-up and a clip of 0 or more"),
        ({"clip": -1}, "a warm-up and a clip of 0 or more"),
        ({"clip": float("nan")}, "a warm-up and a clip of 0 or more"),
        ({"rates": {"head": -1}}, "`rates`: expected rates of 0 or more"),
        ({"rates": {"head": float("nan")}}, "`rates`: expected rates of 0 or more"),
        ({"optimizer": "lion"}, "optimizer='lion': is not known: use one of sgd, adam"),
        ({"precision": "half"}, "precision='half': is not known: use one of float32, bfloat16, float16"),
        ({"train_bn": True, "batch": 1}, "batch=1: BatchNormalization learns nothing from a batch of one image"),
        ({"rates": {"head": 1}, "precision": "float16"}, "use precision='bfloat16'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    """The error is one line that says what was expected."""
    with pytest.raises(UsageError, match=message) as caught:
        FineTuneSettings(**settings)
    assert "\n" not in str(caught.value)


def test_settings_at_their_limits_are_accepted() -> None:
    """Zero momentum, warm-up and clip, and one epoch with batches of one image."""
    FineTuneSettings(epochs=1, batch=1, patience=1, memory=1, momentum=0, warmup=0, clip=0, rates={"head": 0})
    FineTuneSettings(rates={"head": 1}, precision="bfloat16")


def small_network() -> Any:
    """Return a network whose weights are ones: `block1` (2, 2), `block2` (2, 2) and `head` (2, 1)."""
    import keras

    def dense(units: int, name: str) -> Any:
        return keras.layers.Dense(units, use_bias=False, kernel_initializer="ones", name=name)

    image = keras.Input((2,))
    return keras.Model(image, dense(1, "head")(dense(2, "block2")(dense(2, "block1")(image))))


def moves(group: Any, steps: int, gradient: float = 1.0) -> list[float]:
    """Return how much each step lowers the first number of the first variable, at a constant gradient."""
    found, last = [], float(np.asarray(group.variables[0]).flat[0])
    group.optimizer.build(group.variables)
    for _ in range(steps):
        group.optimizer.apply([np.full(v.shape, gradient, np.float32) for v in group.variables], group.variables)
        now = float(np.asarray(group.variables[0]).flat[0])
        found.append(last - now)
        last = now
    return found


PLAIN: dict[str, Any] = {"rate": 0.01, "momentum": 0.0, "clip": 0, "warmup": 0}


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_rate_rises_linearly_and_stays(precision: str) -> None:
    """The warm-up takes two epochs of four steps, and begins at an eighth of the rate."""
    scale = 2.0**15 if precision == "float16" else 1.0  # gradients come with the scale of the loss
    (group,) = make_groups(small_network(), FineTuneSettings(**PLAIN | {"warmup": 2, "precision": precision}), 4)
    expected = [0.01 * min(1, step / 8) for step in range(1, 12)]
    assert moves(group, 11, scale) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("warmup", [0, 0.1])
def test_a_warm_up_shorter_than_a_step_is_none(warmup: float) -> None:
    """The first step has the whole rate."""
    (group,) = make_groups(small_network(), FineTuneSettings(**PLAIN | {"warmup": warmup}), 4)
    assert moves(group, 2) == pytest.approx([0.01, 0.01], rel=1e-3)


def test_momentum_is_that_of_sgd() -> None:
    """Earlier steps are added, times the momentum."""
    (group,) = make_groups(small_network(), FineTuneSettings(**PLAIN | {"momentum": 0.5}), 4)
    assert moves(group, 3) == pytest.approx([0.01, 0.015, 0.0175], rel=1e-3)


def test_a_momentum_may_be_a_whole_number() -> None:
    """Users write 0 for no momentum."""
    (group,) = make_groups(small_network(), FineTuneSettings(**PLAIN | {"momentum": 0}), 4)
    assert moves(group, 2) == pytest.approx([0.01, 0.01], rel=1e-3)


def test_adam_is_an_optimizer() -> None:
    """Its steps have the length of the rate, independent of the gradient."""
    (group,) = make_groups(small_network(), FineTuneSettings(**PLAIN | {"optimizer": "adam", "momentum": None}), 4)
    assert moves(group, 2, 1e3) == pytest.approx([0.01, 0.01], rel=1e-3)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_gradients_are_clipped_by_their_norm_over_all_variables(precision: str) -> None:
    """Ten numbers of 100 become a vector of length 2; shorter gradients stay, and so do all with a clip of 0."""
    scale = 2.0**15 if precision == "float16" else 1.0
    for clip, gradient, expected in ((2, 100.0, 0.01 * 2 / 10**0.5), (2, 0.1, 0.001), (0, 100.0, 1.0)):
        (group,) = make_groups(small_network(), FineTuneSettings(**PLAIN | {"clip": clip, "precision": precision}), 4)
        assert moves(group, 1, scale * gradient) == pytest.approx([expected], rel=1e-3)


def test_each_rate_has_an_optimizer_of_its_own() -> None:
    """It has the variables of its layers; other layers have the common rate."""
    network = small_network()
    rest, block, head = make_groups(network, FineTuneSettings(**PLAIN | {"rates": {"block2": 0.001, "head": 0.02}}), 4)
    paths = [[v.path for v in group.variables] for group in (rest, block, head)]
    assert paths == [["block1/kernel"], ["block2/kernel"], ["head/kernel"]]
    assert [moves(group, 1)[0] for group in (rest, block, head)] == pytest.approx([0.01, 0.001, 0.02], rel=1e-3)


def test_nothing_left_to_train_is_an_error() -> None:
    """All layers have a rate of 0."""
    network = small_network()
    network.trainable = False
    with pytest.raises(UsageError, match="`rates`: nothing is left to train"):
        make_groups(network, FineTuneSettings(rates={"head": 0}), 4)


def test_only_float16_scales_the_loss() -> None:
    """Small gradients would be 0 in float16; bfloat16 has the range of float32."""
    kinds = {}
    for precision in ("float32", "float16", "bfloat16"):
        (group,) = make_groups(small_network(), FineTuneSettings(precision=precision), 4)
        kinds[precision] = type(group.optimizer).__name__
    assert kinds == {"float32": "Momentum", "float16": "LossScaleOptimizer", "bfloat16": "Momentum"}


SEEN = Augmentation(seed=5)


@pytest.fixture
def pictures(photos: Path) -> list[Picture]:
    """Return 24 drawn images with their digests."""
    found = scan(photos).pictures
    return [p.with_digest(hashlib.sha256(Path(p.path).read_bytes()).hexdigest()) for p in found]


@pytest.fixture
def spec(tmp_path: Path) -> FeatureSpec:
    """Return a spec of 16 x 20 px with the preprocessing `caffe`."""
    return make_plan(Recipe(model="pixels", size="16x20", preprocess="caffe"), DigestMemory(tmp_path)).spec


def augmented(pictures: list[Picture], spec: FeatureSpec, seed: int = 0) -> AugmentedBatches:
    """Return batches in which the target of an image is its index."""
    return AugmentedBatches(pictures, np.arange(len(pictures)), spec, SEEN, 10, np.random.default_rng(seed))


def epoch_of(batches: AugmentedBatches, number: int) -> tuple[list[int], np.ndarray]:
    """Return the targets in their order, and the images (n, height, width, 3) sorted by target."""
    images, targets = zip(*batches.epoch(number), strict=True)
    assert [len(some) for some in images] == [len(some) for some in targets]
    order = np.concatenate(targets)
    return order.tolist(), np.concatenate(images)[np.argsort(order)]


def test_every_image_comes_once_as_the_version_of_its_epoch(pictures: list[Picture], spec: FeatureSpec) -> None:
    """Every image has its own target, and is read and preprocessed as for the base; only the last batch is smaller."""
    batches = augmented(pictures, spec)
    assert [len(images) for images, _ in batches.epoch(1)] == [10, 10, 4]
    order, images = epoch_of(batches, 2)
    assert sorted(order) == list(range(24))
    read = make_views_reader(replace(spec.reading, augmentation=SEEN), (2,))
    expected = spec.preprocessing.apply(np.concatenate([read(Path(p.path).read_bytes()) for p in pictures]))
    assert (images.shape, images.dtype) == ((24, 16, 20, 3), np.float32)
    assert np.array_equal(images, expected)


def test_a_last_single_image_joins_the_batch_before(pictures: list[Picture], spec: FeatureSpec) -> None:
    """It would be a batch of its own, from which BatchNormalization learns nothing."""
    batches = augmented(pictures[:21], spec)
    assert [len(images) for images, _ in batches.epoch(1)] == [10, 11]
    assert sorted(epoch_of(batches, 2)[0]) == list(range(21))


def test_each_epoch_has_other_versions_in_another_order(pictures: list[Picture], spec: FeatureSpec) -> None:
    """The same seed gives the same versions in the same order; the versions do not depend on the order."""
    first, again, other = (augmented(pictures, spec, seed) for seed in (0, 0, 1))
    epochs = [epoch_of(first, number) for number in (1, 2)]
    assert epochs[0][0] != epochs[1][0]
    assert all(not np.array_equal(one, two) for one, two in zip(epochs[0][1], epochs[1][1], strict=True))
    for number, (order, images) in enumerate(epochs, start=1):
        assert epoch_of(again, number)[0] == order
        assert np.array_equal(epoch_of(augmented(pictures, spec), number)[1], images)
    order, images = epoch_of(other, 1)
    assert order != epochs[0][0]
    assert np.array_equal(images, epochs[0][1])


@pytest.mark.parametrize("change", ["gone", "another image", "no image"])
def test_a_file_that_changes_ends_the_training(pictures: list[Picture], spec: FeatureSpec, change: str) -> None:
    """Its label, its split and its features are those of the earlier content."""
    batches = augmented(pictures, spec)
    epoch_of(batches, 1)
    path = Path(pictures[7].path)
    if change == "gone":
        path.unlink()
    elif change == "another image":
        draw("stripes", 999).save(path)
    else:
        path.write_bytes(b"x")
    reason = {"gone": "No such file", "another image": "its content has changed", "no image": ""}[change]
    with pytest.raises(
        DataError, match=rf"007\.png: is not what it was when training began: .*{reason}.*; run the same command ag"
    ) as e:
        list(batches.epoch(2))
    assert "\n" not in str(e.value)
