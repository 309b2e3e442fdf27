"""What `train_head` says of a split, `evaluate` says too, and so does anyone who counts the answers of `predict`."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import featstore
from helpers.photos import draw
from helpers.twins import VIEWS, calibrated, prepared, see

SIZE = 32
COUNTS = {"train": 10, "val": 6, "test": 7}
PLAIN = {"one": 0, "flip": 0, "ten": 4}  # the place of the plain view


class Case(NamedTuple):
    """A head with its parameters, the number of classes, and the views with their use."""

    head: str
    parameters: dict[str, Any]
    classes: int
    views: str
    fit: str
    options: dict[str, Any]


CASES = [
    Case("logistic", {"C": 0.01}, 7, "one", "squash", {}),
    Case("logistic", {"C": 0.01}, 3, "ten", "crop", {"average": "probabilities"}),
    Case("logistic", {"C": 0.1}, 2, "flip", "pad", {"average": "logits", "train_on": "all"}),
    Case("logistic", {"C": 0.01}, 3, "flip", "squash", {"average": "features"}),
    Case("vgg-fc", {"epochs": 3, "rate": 1e-2}, 2, "one", "crop", {}),
    Case("bn-dropout", {"epochs": 3, "units": 8}, 7, "flip", "crop", {"average": "logits"}),
    Case("bn-dropout", {"epochs": 3, "units": 8}, 3, "ten", "squash", {"average": "features", "train_on": "all"}),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """Return a network from prepared images to features, and the options that name it."""
    keras.utils.set_random_seed(0)
    shape = (SIZE, SIZE, 3)
    network = keras.applications.MobileNet(
        alpha=0.25, include_top=False, weights=None, input_shape=shape, pooling="avg"
    )
    weights = tmp_path_factory.mktemp("base") / "base.weights.h5"
    calibrated(network)
    keras.Model(network.input, network.layers[-2].output).save_weights(weights)
    options = {"model": "MobileNet", "alpha": 0.25, "weights": str(weights), "size": SIZE, "dtype": "float32"}
    return network, options


def write_images(folder: Path, classes: int) -> dict[str, list[Path]]:
    """Write pictures in as many colours as classes to folder/SPLIT/CLASS; return them by split, sorted."""
    for (place, (split, count)), label in product(enumerate(COUNTS.items()), range(classes)):
        (folder / split / str(label)).mkdir(parents=True)
        colour = tuple(np.random.default_rng(label).integers(0, 256, 3).tolist())
        for number in range(count):
            picture = draw("discs", 1000 * place + 50 * label + number)
            tinted = Image.blend(picture, Image.new("RGB", picture.size, colour), 0.4)
            tinted.save(folder / split / str(label) / f"{number:02}.png")
    return {split: sorted((folder / split).glob("*/*.png")) for split in COUNTS}


def features_of(network: Any, paths: list[Path], case: Case) -> np.ndarray:
    """Return features (n, views, width)."""
    views = [see(path, case.fit, case.views, SIZE).values() for path in paths]
    rows = np.asarray(network(prepared("keras", np.stack([view for some in views for view in some])), training=False))
    return rows.reshape(len(paths), len(VIEWS[case.views]), -1)


def answers(case: Case, features: np.ndarray, predict: Any, temperature: float | None) -> np.ndarray:
    """Return the probabilities of images with features (n, views, width): their logits are divided by `temperature`."""
    if case.options.get("average") == "features":
        features = features.mean(axis=1, keepdims=True)
    each = np.stack([predict(features[:, view]) for view in range(features.shape[1])]).astype(np.float64)
    mean = np.exp(np.log(each).mean(axis=0)) if case.options.get("average") == "logits" else each.mean(axis=0)
    scaled = mean ** (1 / (temperature or 1))
    return scaled / scaled.sum(axis=1, keepdims=True)


def trained(case: Case, run: featstore.Run, features: np.ndarray, labels: np.ndarray) -> Any:
    """Return a function from features to probabilities: what scikit-learn fits, or the saved network."""
    if case.head == "logistic":
        views = range(features.shape[1]) if case.options.get("train_on") == "all" else [PLAIN[case.views]]
        model = make_pipeline(StandardScaler(), LogisticRegression(C=case.parameters["C"], max_iter=1000))
        rows = np.concatenate([features[:, view] for view in views])
        return model.fit(rows, np.tile(labels, len(views))).predict_proba
    network = keras.saving.load_model(run.folder / "head.keras", compile=False)

    def predict(rows: np.ndarray) -> np.ndarray:
        found = np.asarray(network(rows, training=False))
        return found if found.shape[1] > 1 else np.hstack([1 - found, found])

    return predict


@pytest.mark.filterwarnings("ignore::featstore.errors.LeakWarning")  # discs of one size look like copies
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.head}-{case.classes}-{case.views}")
def test_figures_are_the_same_by_every_way(base: tuple[Any, dict[str, Any]], tmp_path: Path, case: Case) -> None:
    """For each split, with one view and averaged over several, from the images to the digits in run.json."""
    network, options = base
    images, cache = write_images(tmp_path / "data", case.classes), {"cache": tmp_path / "cache"}
    options = options | cache | {"views": case.views, "fit": case.fit, "pool": "avg"} | case.options
    run = featstore.train_head(tmp_path / "data", case.head, case.parameters, runs=tmp_path / "runs", **options)
    assert featstore.evaluate(run.folder, tmp_path / "data", **cache).metrics == run.metrics

    labels = {split: np.array([path.parent.name for path in paths]) for split, paths in images.items()}
    features = {split: features_of(network, paths, case) for split, paths in images.items()}
    predict = trained(case, run, features["train"], labels["train"])
    for split, figures in json.loads((run.folder / "run.json").read_text())["metrics"].items():
        found = featstore.predict(run.folder, images[split], **cache).images
        probabilities = np.array([image.probabilities for image in found])
        expected = answers(case, features[split], predict, run.temperature)
        assert [Path(image.path) for image in found] == images[split]
        assert [image.label for image in found] == [run.classes[n] for n in probabilities.argmax(axis=1)]
        assert probabilities == pytest.approx(expected, abs=2e-4)
        assert figures["n"] == len(images[split])
        assert figures["accuracy"] == accuracy_score(labels[split], [image.label for image in found])
        assert figures["log_loss"] == pytest.approx(log_loss(labels[split], probabilities), rel=1e-6)
        assert figures["log_loss"] == pytest.approx(log_loss(labels[split], expected), rel=2e-3, abs=1e-4)
        if case.classes > 5:
            assert figures["top5"] == pytest.approx(top_k_accuracy_score(labels[split], probabilities, k=5))
