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
from helpers.twins import calibrated, prepared, see

SIZE, EPOCHS, BATCH, RATE = 32, 3, 8, 0.02
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


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("head", HEADS)
def test_the_top_is_trained_as_in_the_whole_network(tmp_path: Path, head: str, optimizer: str) -> None:
    """Weights, losses and accuracies of some epochs, from the network that `fit` trains on the images themselves."""
    layers_of, classes, parameters = HEADS[head]
    work = make_work(tmp_path, classes)
    places: dict[str, Any] = {"cache": tmp_path / "cache", "runs": tmp_path / "runs"}
    run = featstore.train_head(work.data, head, parameters, dtype="float32", **work.options, **places)
    rate = RATE if optimizer == "sgd" else RATE / 20
    settings: dict[str, Any] = {"epochs": EPOCHS, "batch": BATCH, "rate": rate, "optimizer": optimizer, "warmup": 0}
    tuned = featstore.fine_tune(run, work.data, seed=5, **settings, **places)
    assert tuned.run.fine_tuning is not None
    assert tuned.run.fine_tuning.cut == CUT

    base = mobilenet()
    output = base.output
    for layer in layers_of(run.folder):
        output = layer(output)
    network = keras.Model(base.input, output)
    trained = next(n for n, layer in enumerate(network.layers) if layer.name == CUT) + 1
    for number, layer in enumerate(network.layers):
        layer.trainable = number >= trained and not isinstance(layer, keras.layers.BatchNormalization)
    loss = "binary_crossentropy" if output.shape[1] == 1 else "sparse_categorical_crossentropy"
    kinds = {
        "sgd": lambda: keras.optimizers.SGD(rate, 0.9, global_clipnorm=1.0),
        "adam": lambda: keras.optimizers.Adam(rate, global_clipnorm=1.0),
    }
    network.compile(kinds[optimizer](), loss, metrics=[loss, "accuracy"])
    random = np.random.default_rng(5)
    X, y = work.split["train"]
    history = [[np.nan, np.nan, *network.evaluate(*work.split["val"], verbose=0)[1:]]]
    weights = [network.get_weights()]
    for _ in range(EPOCHS):
        order = random.permutation(len(X))
        figures = network.fit(X[order], y[order], BATCH, shuffle=False, verbose=0).history
        history.append([figures[loss][0], figures["accuracy"][0], *network.evaluate(*work.split["val"], verbose=0)[1:]])
        weights.append(network.get_weights())

    with (tuned.run.folder / "curve.csv").open() as file:
        curve = [
            [float(row[n]) for n in ("loss", "accuracy", "val_loss", "val_accuracy")] for row in csv.DictReader(file)
        ]
    assert np.array(curve) == pytest.approx(np.array(history), rel=1e-3, nan_ok=True)
    best = tuned.run.chosen["best_epoch"]
    assert best > 0
    top = keras.saving.load_model(tuned.run.folder / "trained.keras", compile=False)
    found = top.get_weights()
    start, expected = weights[0][-len(found) :], weights[best][-len(found) :]
    moved = np.sqrt(sum(np.square(b - a).sum() for a, b in zip(start, expected, strict=True)))
    apart = np.sqrt(sum(np.square(b - a).sum() for a, b in zip(found, expected, strict=True)))
    assert moved > 0.01
    assert apart < 1e-3 * moved
    network.set_weights(weights[best])
    for name, (pixels, targets) in work.split.items():
        found_loss, found_accuracy = network.evaluate(pixels, targets, verbose=0)[1:]
        assert tuned.run.metrics[name].log_loss == pytest.approx(found_loss, rel=1e-3)
        assert tuned.run.metrics[name].accuracy == pytest.approx(found_accuracy)
