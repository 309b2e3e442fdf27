"""Fine-tuning from cached activations against the whole network in plain Keras, with its lower layers frozen."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

import featstore
from helpers.photos import draw
from helpers.twins import calibrated, distance, prepared, see

SIZE, EPOCHS, BATCH, SEED = 32, 3, 8, 5
CUT = "conv_pw_11_relu"  # below the last block of MobileNet
COUNTS = {"train": 14, "val": 8, "test": 4}


class Work(NamedTuple):
    """A data set with its pixels and targets by split, and the options of a base with random weights."""

    data: Path
    split: dict[str, tuple[np.ndarray, np.ndarray]]
    options: dict[str, Any]


def make_work(folder: Path, classes: tuple[str, ...]) -> Work:
    base = mobilenet()
    base.save_weights(folder / "base.weights.h5")
    split = {}
    for first, (name, count) in enumerate(COUNTS.items()):
        pixels, targets = [], []
        for target, kind in enumerate(classes):
            (folder / "data" / name / kind).mkdir(parents=True)
            for number in range(count):
                path = folder / "data" / name / kind / f"{number:02}.png"
                shape = draw("stripes" if kind == "stripes" else "discs", 100 * first + number)
                (shape.convert("L") if kind == "grey" else shape).save(path)
                pixels.append(see(path, "squash", "one", SIZE)[0])
                targets.append(target)
        split[name] = prepared("keras", np.stack(pixels)), np.array(targets)[:, None]
    weights = str(folder / "base.weights.h5")
    return Work(folder / "data", split, {"model": "MobileNet", "alpha": 0.25, "weights": weights, "size": SIZE})


def mobilenet() -> Any:
    keras.utils.set_random_seed(0)
    shape = (SIZE, SIZE, 3)
    return calibrated(keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=shape))


def logistic(folder: Path) -> list[Any]:
    """The softmax of the scaled features that scikit-learn has found, with the penalty of its C."""
    with np.load(folder / "head.npz") as kept:
        scale, mean, C, samples = kept["scale"], kept["mean"], float(kept["C"]), int(kept["samples"])
        weights = [kept["coefficients"].T, kept["intercept"]]
    dense = keras.layers.Dense(
        len(weights[1]), "softmax", kernel_regularizer=keras.regularizers.L2(1 / (2 * C * samples))
    )
    scaling = keras.layers.Rescaling((1 / scale).tolist(), (-mean / scale).tolist())
    dense.build((None, len(scale)))
    dense.set_weights(weights)
    return [keras.layers.GlobalAveragePooling2D(), scaling, dense]


def vgg_fc(folder: Path) -> list[Any]:
    """The layers of the saved head, with a sigmoid."""
    return list(keras.saving.load_model(folder / "head.keras", compile=False).layers)


HEADS: dict[str, tuple[Any, tuple[str, ...], dict[str, Any]]] = {
    "logistic": (logistic, ("discs", "grey", "stripes"), {"C": 1e-3}),
    "vgg-fc": (vgg_fc, ("discs", "stripes"), {"epochs": 2, "units": 8, "p": 0.0}),
}


class Whole(NamedTuple):
    """A whole network, its weights before training and after each epoch, and the figures of its curve."""

    network: Any
    weights: list[list[np.ndarray]]
    curve: np.ndarray

    def measure(self, split: tuple[np.ndarray, np.ndarray]) -> list[float]:
        """Return (loss, accuracy), without penalties."""
        return self.network.evaluate(*split, verbose=0)[1:]


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.02, 0.9, global_clipnorm=1.0),
    "adam": lambda: keras.optimizers.Adam(0.001, global_clipnorm=1.0),
}


def train_whole(work: Work, head: list[Any], optimizer: Any) -> Whole:
    """Train the layers above the cut on the images themselves; BatchNormalization keeps its statistics."""
    base = mobilenet()
    output = base.output
    for layer in head:
        output = layer(output)
    network = keras.Model(base.input, output)
    names = [layer.name for layer in network.layers]
    for place, layer in enumerate(network.layers):
        layer.trainable = place > names.index(CUT) and not isinstance(layer, keras.layers.BatchNormalization)
    loss = "binary_crossentropy" if output.shape[1] == 1 else "sparse_categorical_crossentropy"
    network.compile(optimizer, loss, metrics=[loss, "accuracy"])
    whole = Whole(network, [network.get_weights()], np.full((EPOCHS + 1, 4), np.nan))
    whole.curve[0, 2:] = whole.measure(work.split["val"])
    random, (X, y) = np.random.default_rng(SEED), work.split["train"]
    for epoch in range(1, EPOCHS + 1):
        order = random.permutation(len(X))
        history = network.fit(X[order], y[order], BATCH, shuffle=False, verbose=0).history
        whole.curve[epoch] = history[loss][0], history["accuracy"][0], *whole.measure(work.split["val"])
        whole.weights.append(network.get_weights())
    return whole


@pytest.mark.parametrize(("head", "optimizer"), list(zip(HEADS, OPTIMIZERS, strict=True)))
def test_the_top_is_trained_as_in_the_whole_network(tmp_path: Path, head: str, optimizer: str) -> None:
    """Weights, losses and accuracies of some epochs, and the figures of the best, which are those of the run."""
    layers_of, classes, parameters = HEADS[head]
    work = make_work(tmp_path, classes)
    places: dict[str, Any] = {"cache": tmp_path / "cache", "runs": tmp_path / "runs"}
    run = featstore.train_head(work.data, head, parameters, dtype="float32", **work.options, **places)
    rate = float(OPTIMIZERS[optimizer]().learning_rate)
    settings: dict[str, Any] = {"epochs": EPOCHS, "batch": BATCH, "rate": rate, "optimizer": optimizer, "warmup": 0}
    tuned = featstore.fine_tune(run, work.data, seed=SEED, **settings, **places)
    assert tuned.cut == CUT

    whole = train_whole(work, layers_of(run.folder), OPTIMIZERS[optimizer]())
    with (tuned.run.folder / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    curve = [[float(row[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")] for row in rows]
    assert np.array(curve) == pytest.approx(whole.curve, rel=1e-3, nan_ok=True)
    best = tuned.run.chosen["best_epoch"]
    assert best > 0
    found = keras.saving.load_model(tuned.run.folder / "trained.keras", compile=False).get_weights()
    before, after = (whole.weights[epoch][-len(found) :] for epoch in (0, best))
    assert distance(before, after) > 0.01
    assert distance(found, after) < 1e-3 * distance(before, after)
    whole.network.set_weights(whole.weights[best])
    for name, metrics in tuned.run.metrics.items():
        assert (metrics.log_loss, metrics.accuracy) == pytest.approx(tuple(whole.measure(work.split[name])), rel=1e-3)
