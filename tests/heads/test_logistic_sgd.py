"""Head `logistic-sgd`: it finds what `logistic` finds, and rows on disk change no bit of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.errors import UsageError
from featstore.heads.registry import make_head
from helpers.counted_rows import CountedRows


def overlapping(count: int, classes: int, seed: int = 0, width: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Classes that overlap in features that are correlated and of different scales, in the order of the classes."""
    fixed, random = np.random.default_rng(9), np.random.default_rng(seed)
    centres, mixing = fixed.normal(size=(classes, 10)) * 0.8, fixed.normal(size=(10, width))
    y = np.arange(count) * classes // count
    hidden = centres[y] + random.normal(size=(count, 10))
    X = (hidden @ mixing + random.normal(size=(count, width))) * np.geomspace(0.01, 100, width) + 3
    return X.astype(np.float32), y


def fitted(rows: Any, y: np.ndarray, held_out: Any = None, seed: int = 0, **parameters: Any) -> Any:
    head = make_head("logistic-sgd", {"epochs": 20, **parameters})
    head.fit(rows, y, held_out, seed)
    return head


@pytest.mark.parametrize(("classes", "C"), [(2, 0.1), (4, 1e-4), (4, 0.01)])
def test_it_finds_what_the_solver_finds(classes: int, C: float) -> None:
    """The same answers but for hundredths of a probability, from rows on disk in the order of their classes."""
    X, y = overlapping(1_500, classes)
    new, _ = overlapping(500, classes, seed=1)
    solved = make_head("logistic", {"C": C})
    solved.fit(X, y, None, 0)
    head = fitted(CountedRows(X, block=320), y, C=C, epochs=100, batch=32)
    expected, found = solved.predict_proba(new), head.predict_proba(new)
    assert np.abs(found - expected).max() < 0.03
    assert np.abs(found - expected).mean() < 0.003
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.985


def test_rows_on_disk_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory they are worked on in the same blocks."""
    monkeypatch.setattr("featstore.heads.rows.BLOCK_BYTES", 256 * 4 * 40)
    X, y = overlapping(1_000, 3)
    held_out = overlapping(300, 3, seed=1)
    in_memory = fitted(X, y, held_out)
    on_disk = fitted(CountedRows(X, block=256), y, (CountedRows(held_out[0], block=256), held_out[1]))
    new, _ = overlapping(100, 3, seed=2)
    assert np.array_equal(in_memory.predict_proba(new), on_disk.predict_proba(new))
    assert in_memory.curve == on_disk.curve
    assert on_disk.selected() == in_memory.selected() | {"blocks": 4}
    assert not np.array_equal(fitted(X, y, held_out, seed=1).predict_proba(new), in_memory.predict_proba(new))


@pytest.mark.parametrize("count", [2_000, 10_000])
def test_memory_does_not_grow_with_the_rows(count: int) -> None:
    """Never more than one block of copies is alive, whatever the number of rows; also to validate."""
    X, y = overlapping(count, 2, width=4)
    rows, held_out = CountedRows(X, block=512), CountedRows(X, block=512)
    fitted(rows, y, (held_out, y), epochs=2, batch=128)
    assert max(rows.asked) <= 512
    assert rows.most_alive <= 512
    assert held_out.most_alive <= 512


def test_the_validation_split_chooses_the_strength() -> None:
    """The C is the one with the smallest loss there, as each of them has it alone; without such a split it is 0.01."""
    X, y = overlapping(300, 2)
    held_out = overlapping(2_000, 2, seed=1)
    head = fitted(X, y, held_out)
    losses = {}
    for C in (1e-5, 1e-3, 0.1, 10.0):
        alone = fitted(X, y, held_out, C=C)
        losses[C] = alone.curve.series["val_loss"][-1]
        assert alone.selected()["C"] == C
    assert head.curve.series["val_loss"][-1] <= min(losses.values())
    assert head.selected() == {"C": head.as_linear().C, "epochs": 20, "best_epoch": 20}
    assert fitted(X, y).selected()["C"] == 0.01
    assert set(fitted(X, y).curve.series) == {"loss", "accuracy"}


def test_patience_ends_it_and_keeps_the_best_epoch() -> None:
    X, y = overlapping(60, 2)
    X += np.random.default_rng(5).normal(size=X.shape).astype(np.float32) * np.geomspace(0.1, 1000, 40)
    held_out = overlapping(200, 2, seed=1)
    head = fitted(X, y, held_out, C=10.0, epochs=400, batch=8, rate=0.05, patience=3)
    losses, chosen = head.curve.series["val_loss"], head.selected()
    assert chosen["epochs"] == chosen["best_epoch"] + 3 == len(losses) < 400
    assert np.argmin(losses) + 1 == chosen["best_epoch"]
    truth = head.predict_proba(held_out[0])[np.arange(200), held_out[1]]
    assert -np.log(truth).mean() == pytest.approx(min(losses), rel=1e-4)


def test_the_length_is_counted_in_steps() -> None:
    """3,000 of them, and each row at least three times."""
    for count, epochs in ((256, 3000), (2_560, 300), (300_000, 3)):
        steps: list[tuple[int, int]] = []
        head = make_head("logistic-sgd")
        rows = CountedRows(np.zeros((count, 1), np.float32), block=2**20)

        def stop(done: int, total: int, steps: list[tuple[int, int]] = steps) -> None:
            steps.append((done, total))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            head.fit(rows, np.arange(count) % 2, None, 0, stop)  # type: ignore[arg-type]
        assert steps == [(1, epochs)]
        assert head.is_trained  # with what it had learnt by then
        assert head.selected()["epochs"] == 1


def test_a_rate_that_is_far_too_high_is_told() -> None:
    X, y = overlapping(100, 2)
    with pytest.raises(UsageError, match=r"head logistic-sgd at rate 1e\+38: training diverged: .* lower the rate"):
        fitted(X, y, rate=1e38)


@pytest.mark.parametrize("labels", [[0] * 8 + [1], [0, 1, 2], [0, 1], [0] * 20 + [5] * 20 + [7] * 2])
def test_few_images_are_enough(labels: list[int]) -> None:
    """Also where there is one of a class, or numbers of classes are left out."""
    y = np.array(labels)
    X = np.random.default_rng(0).normal(size=(len(y), 6)).astype(np.float32)
    probabilities = fitted(X, y, (X, y)).predict_proba(X)
    assert probabilities.shape == (len(y), len(set(labels)))
    assert np.isfinite(np.log(probabilities)).all()


def test_maps_are_flattened_and_a_saved_head_is_the_same(tmp_path: Path) -> None:
    X, y = overlapping(90, 3, width=12)
    head = fitted(X.reshape(90, 2, 2, 3), y)
    assert head.row_shape == (12,)
    again = make_head("logistic-sgd")
    again.load(tmp_path / head.save(tmp_path))
    assert np.array_equal(again.predict_proba(X), head.predict_proba(X.reshape(90, 2, 2, 3)))
