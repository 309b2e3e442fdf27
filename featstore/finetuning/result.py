"""The result of fine-tuning, as the caller gets and prints it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featstore.datasets.manifest import Skipped
from featstore.datasets.summary import DataSummary
from featstore.evaluation.remarks import remark_line
from featstore.runs.fine_tuning import FineTuning
from featstore.runs.run import Run
from featstore.system.figures import figure, figures, with_interval
from featstore.system.notebook import Picture
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    from featstore.evaluation.metrics import Metrics


@dataclass(frozen=True, kw_only=True, repr=False)
class FineTuned(Shown):
    """A fine-tuned run and the run of the head that it started from, both measured on the same images.

    Attributes:
        run: The new run.
        head_run: The run of the head.
        metrics_before: Metrics of `head_run` by split.
        metrics_after: Metrics of `run` by split.
        recommended: `run` if it is better on the validation split, else `head_run`.
        difference: Difference of the accuracies on the test split in points, with its 95 % interval, as text. Without
            a test split it is that on the validation split.
        verdict: The comparison on the validation split that `recommended` rests on, as text.
        notes: The notes of `run`, and plots that could not be written.
        data: Classes and counts by split, and notes on the data.
        skipped: Files that could not be read.
    """

    run: Run
    head_run: Run
    metrics_before: dict[str, Metrics]
    metrics_after: dict[str, Metrics]
    recommended: Run
    difference: str
    verdict: str
    notes: tuple[str, ...]
    data: DataSummary
    skipped: tuple[Skipped, ...]

    @property
    def fine_tuning(self) -> FineTuning:
        """The record in `run` of how it was made from `head_run`."""
        assert self.run.fine_tuning is not None
        return self.run.fine_tuning

    @property
    def cut(self) -> str:
        """Name of the layer whose activations are the input of the trained part; `pixels` if nothing is frozen."""
        return self.fine_tuning.cut

    @property
    def trainable_layers(self) -> tuple[str, ...]:
        """Names of the layers that were trained, from the image upwards."""
        return self.fine_tuning.trainable_layers

    def parts(self) -> Iterator[str | Table]:
        """Yield the cut, the metrics before and after, the difference, the verdict, the remarks, and the folders."""
        layers = self.trainable_layers
        yield f"cut at {self.cut}: {len(layers)} layers trained, {layers[0]} to {layers[-1]}"
        yield self._table()
        yield f"difference: {self.difference}"
        yield self.verdict
        yield from map(remark_line, self.run.remarks)
        run = self.run
        chosen = f"best epoch {run.chosen['best_epoch']} of {run.chosen['epochs']}"
        yield f"fine-tuned ({chosen}): features {run.seconds['features']:.1f} s, fit {run.seconds['fit']:.1f} s"
        yield f"saved in {run.folder}; recommended: {self.recommended.folder}"

    def plots(self) -> Iterator[Picture]:
        """Yield the plots of the new run."""
        return self.run.plots()

    def _table(self) -> Table:
        """Return the metrics before and after, by split."""
        rows = []
        for split, before in self.metrics_before.items():
            after = self.metrics_after[split]
            accuracies = [with_interval(m.accuracy, m.accuracy_ci95) for m in (before, after)]
            bar = "" if after.by_class is None else figure(after.by_class.commonest_share)
            means = [m.by_class.balanced_accuracy for m in (before, after) if m.by_class is not None]
            losses = figures(before.log_loss, after.log_loss, limits=(0.0,))
            by_class, log_loss = " -> ".join(figures(*means) if means else ()), " -> ".join(losses)
            rows.append([split, before.describe_size(), *accuracies, bar, by_class, log_loss])
        return Table(["split", "n", "accuracy before", "after", "commonest", "by class", "log loss"], rows)
