"""The order of classes: numbers by value, the same in heads, figures and predictions, and as recorded in older runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featstore
from featstore.datasets import manifest as manifest_module

LABELS = {"1": 40, "2": 130, "10": 220}  # and their brightness


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes that sort as numbers otherwise than as texts, 12 images of each."""
    folder = tmp_path_factory.mktemp("numbers")
    for label, level in LABELS.items():
        (folder / label).mkdir()
        for number in range(12):
            random = np.random.default_rng(1000 * level + number)
            pixels = (level + random.normal(0, 10, (32, 32, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def label_of(path: str) -> str:
    return Path(path).parent.name


@pytest.mark.parametrize("head", ["logistic", "bn-dropout"])
def test_columns_are_in_the_order_of_the_classes(data: Path, tmp_path: Path, head: str) -> None:
    """A head that numbered the classes by their texts would answer 10 for 2, and its figures would hide it."""
    places = {"cache": tmp_path / "cache", "runs": tmp_path / "runs"}
    parameters = {"C": 1.0} if head == "logistic" else {"epochs": 40, "batch": 8, "p": 0.1, "rate": 0.01}
    model = "pixels" if head == "logistic" else "tiny"
    run = featstore.train_head(data, head, parameters, model=model, **places)  # type: ignore[arg-type]
    assert run.classes == ("1", "2", "10")
    loaded = featstore.load_run(run.folder)
    assert loaded.classes == ("1", "2", "10")
    prediction = featstore.predict(loaded, data, cache=places["cache"])
    assert np.mean([image.label == label_of(image.path) for image in prediction.images]) > 0.8
    evaluation = featstore.evaluate(loaded, data, cache=places["cache"])
    assert all(metrics.accuracy > 0.7 for metrics in evaluation.metrics.values())
    assert evaluation.metrics["test"].log_loss == pytest.approx(run.metrics["test"].log_loss, abs=1e-6)
    if head == "logistic":
        [row] = featstore.compare(data, head, parameters, model=model, cache=places["cache"]).rows
        assert row.accuracy == run.metrics["test"].accuracy


def test_a_run_with_another_order_keeps_it(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions before this one sorted classes as texts; their runs predict, are measured and are fine-tuned."""
    places = {"cache": tmp_path / "cache", "runs": tmp_path / "runs"}
    with monkeypatch.context() as patch:
        patch.setattr(manifest_module, "in_natural_order", lambda labels: tuple(sorted(labels)))
        old = featstore.train_head(data, "logistic", {"C": 1.0}, model="tiny", **places)  # type: ignore[arg-type]
    old = featstore.load_run(old.folder)
    assert old.classes == ("1", "10", "2")
    prediction = featstore.predict(old, data, cache=places["cache"])
    right = [image.label == label_of(image.path) for image in prediction.images]
    assert np.mean(right) > 0.9
    evaluation = featstore.evaluate(old, data, cache=places["cache"])
    assert evaluation.metrics["test"] == old.metrics["test"]
    tuned = featstore.fine_tune(old, data, epochs=1, **places)  # type: ignore[arg-type]
    assert tuned.run.classes == ("1", "10", "2")
    assert tuned.metrics_before["test"].accuracy == old.metrics["test"].accuracy
