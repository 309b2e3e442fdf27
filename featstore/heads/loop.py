"""The training loop of all Keras networks here: epochs, early stopping, and the best weights restored.

`Model.fit` is not used. It makes an iterator over a data set for each epoch and each evaluation, which takes longer
than the steps of a small network: an epoch of 600 rows took 100 ms, and takes 25 ms here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from featstore.errors import UsageError
from featstore.heads.interface import Curve
from featstore.heads.step import Batch, Step
from featstore.system.progress import OnStep

Validate = Callable[[], Mapping[str, float]]
_UNTRAINED = {"loss": np.nan, "accuracy": np.nan}


def divide(rows: int, batch: int) -> list[slice]:
    """Return the places of the batches of `rows` rows: each has `batch` rows, and the last one has the rest.

    A rest of one row joins the batch before it. BatchNormalization would make that row zero, since it is its own mean,
    and the step would teach nothing but biases.
    """
    starts = list(range(0, rows, batch))
    if batch > 1 and len(starts) > 1 and rows - starts[-1] == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in pairwise([*starts, rows])]


class BestSoFar:
    """Which epoch is the best so far; `waited` is the number of epochs since then.

    monitor: the figure that says which epoch is better: a smaller loss, or a larger value of any other figure. A
        smaller loss is better where the figure is equal, as an accuracy on few images often is.
    """

    def __init__(self, monitor: str) -> None:
        self.waited = 0
        self._monitor = monitor
        self._best = (-np.inf, -np.inf)

    def is_better(self, figures: Mapping[str, float]) -> bool:
        """Note the figures of an epoch; return whether it is better than all before."""
        found = (0.0 if self._monitor == "loss" else figures[self._monitor]), -figures["loss"]
        self.waited = 0 if found > self._best else self.waited + 1
        self._best = max(self._best, found)
        return self.waited == 0


def diverged(name: str) -> UsageError:
    """Return the error for a training, called `name`, whose loss is not finite."""
    return UsageError(f"{name}: training diverged: its loss is not finite; lower the rate")


class Training:
    """One training of `network`. Its history and best epoch are valid at any time, also after an interruption.

    history: `loss`, `accuracy`, and what validation measures as `val_loss`, `val_accuracy` and so on, by epoch. The
        first two are means over the batches, each measured before its step.
    best_epoch: the epoch whose weights the network has when `run` ends, normally or not. It is that of the best
        validation, or the last one without validation.
    """

    def __init__(self, network: Any, step: Step, name: str) -> None:
        self.history: dict[str, list[float]] = {}
        self.best_epoch = 0
        self._network = network
        self._step = step
        self._name = name
        self._first_epoch = 1

    def run(
        self,
        batches: Callable[[int], Iterable[Batch]],
        validate: Validate | None,
        epochs: int,
        patience: int,
        on_step: OnStep | None = None,
        trained_before: bool = False,
        *,
        monitor: str = "loss",
        on_wait: Callable[[int], None] | None = None,
    ) -> None:
        """Train for up to `epochs` epochs; raises UsageError for a loss of NaN or infinity.

        batches: returns the batches of an epoch, counted from 1.
        validate: returns `loss`, `accuracy`, and `monitor` if it is another figure; None trains all epochs.
        patience: number of epochs without a better validation after which training ends.
        trained_before: whether the network is trained already. It is then validated first, as epoch 0, and its weights
            stay if no epoch is better.
        monitor: the figure that says which epoch is better, as `BestSoFar` has it.
        on_wait: called after an epoch that is not better, with the number of such epochs since the best one; without
            validation the training loss says what is better.
        """
        kept, best = None, BestSoFar(monitor if validate else "loss")
        try:
            if trained_before:
                kept = self._network.get_weights()
                if validate:
                    best.is_better(self._note(_UNTRAINED, self._finite(validate())))
                    self._first_epoch = 0
            for epoch in range(1, epochs + 1):
                trained = self._finite(self._run_epoch(batches(epoch)))
                is_better = best.is_better(self._note(trained, self._finite(validate()) if validate else None))
                if is_better or not validate:
                    kept, self.best_epoch = self._network.get_weights(), epoch
                if on_step:
                    on_step(epoch, epochs)
                if best.waited == patience and validate:
                    break
                if best.waited and on_wait:
                    on_wait(best.waited)
        finally:
            if kept is not None:
                self._network.set_weights(kept)

    @property
    def curve(self) -> Curve:
        """The history over its epochs."""
        longest = len(self.history.get("loss", ()))
        return Curve("epoch", [float(e + self._first_epoch) for e in range(longest)], self.history)

    @property
    def improved(self) -> bool:
        """Whether an epoch made the network better than it was before; that epoch is then worth keeping."""
        return self.best_epoch > 0

    @property
    def epochs(self) -> int:
        """The number of epochs that were run."""
        return max(0, len(self.history.get("loss", ())) - 1 + self._first_epoch)

    def _run_epoch(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Train on `batches`; return the means of loss and accuracy over their rows."""
        sums, rows = np.zeros(2), 0
        for batch in batches:
            sums += [float(value) for value in self._step(*batch)]
            rows += len(batch[1])
        loss, accuracy = (sums / rows).tolist()
        return {"loss": loss, "accuracy": accuracy}

    def _finite(self, figures: Mapping[str, float]) -> Mapping[str, float]:
        if not np.isfinite([*figures.values()]).all():
            raise diverged(self._name)
        return figures

    def _note(self, trained: Mapping[str, float], validated: Mapping[str, float] | None) -> Mapping[str, float]:
        """Add an epoch to all series of the history at once; return its validation, or else its training."""
        for prefix, figures in (("", trained), ("val_", validated or {})):
            for name, value in figures.items():
                self.history.setdefault(prefix + name, []).append(value)
        return trained if validated is None else validated
