"""What a comparison found: a row for each cell of the grid, best first, and the findings in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from featstore.comparison.grid import GridCell
from featstore.datasets.manifest import Skipped
from featstore.datasets.summary import DataSummary
from featstore.evaluation.by_class import ByClass
from featstore.evaluation.paired import Difference
from featstore.evaluation.remarks import remark_line
from featstore.evaluation.repeats import Repeats
from featstore.heads.interface import Curve
from featstore.system.figures import figure, interval, loss, megabytes
from featstore.system.text import Shown, Table, count

A_POINT = 0.01  # of accuracy: a mean over the classes that is closer to it has no column


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """One cell of the grid, measured.

    Attributes:
        cell: Recipe and head.
        factors: `model`, `preprocess`, `size`, `views` and `head` as a table names them, and what else differs.
        options: All other options of the features, as in {"pool": "max"}.
        name: Those of the factors that vary among the rows, as the findings and the chart name the row.
        size: Input size (height, width) in px.
        n: Number of held-out images.
        groups: Number of groups that these fall into; None if each is one of its own.
        accuracy: Share of right predictions, 0 to 1, mean over the seeds.
        accuracy_ci95: 95 % interval (low, high) of the accuracy. If the row may be the best, it allows for that choice.
        repeats: Which images were right, by seed and fold, and how much the accuracy varies over these.
        by_class: The accuracy by class; `never_found` is over all seeds.
        log_loss: Mean over images and seeds, in nats.
        macro_f1: Mean over the classes of F1, and over the seeds.
        brier: Mean over images and seeds of the squared distance of the probabilities from the truth.
        difference_to_best: Accuracy less that of the best row on the same images; 0 or negative.
        difference_ci95: Interval (low, high) of this difference; 95 % for all comparisons of the grid together.
        seconds_extract: Seconds that the extraction took in this call; 0 where all features were cached.
        seconds_fit: Seconds of all fits of the head.
        width: Number of values in a row of features.
        bytes: Size of the features as they are stored.
        command: The `featstore train-head` command that makes this cell.
    """

    cell: GridCell
    factors: Mapping[str, str]
    options: Mapping[str, str]
    name: str
    size: tuple[int, int]
    n: int
    groups: int | None
    accuracy: float
    accuracy_ci95: tuple[float, float]
    repeats: Repeats
    by_class: ByClass
    log_loss: float
    macro_f1: float
    brier: float
    difference_to_best: float
    difference_ci95: tuple[float, float]
    seconds_extract: float
    seconds_fit: float
    width: int
    bytes: int
    command: str

    def describe(self) -> dict[str, Any]:
        """Return the row as `featstore compare --json` prints it."""
        recipe = self.cell.recipe
        return {
            "name": self.name,
            "model": recipe.model,
            "weights": recipe.weights,
            "weights_seed": recipe.weights_seed if recipe.weights == "random" else None,
            "alpha": recipe.alpha,
            "preprocess": recipe.preprocess,
            "size": list(self.size),
            "views": recipe.views,
            **self.options,
            "head": self.cell.head.head,
            "parameters": dict(self.cell.head.parameters),
            "n": self.n,
            "groups": self.groups,
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.accuracy_ci95),
            "accuracy_by_fold": self.repeats.by_fold.tolist(),
            "spread_folds": self.repeats.spread_folds,
            "spread_seeds": self.repeats.spread_seeds,
            "commonest_class": self.by_class.commonest,
            "commonest_share": self.by_class.commonest_share,
            "balanced_accuracy": self.by_class.balanced_accuracy,
            "balanced_accuracy_ci95": list(self.by_class.balanced_accuracy_ci95),
            "never_found": self.by_class.never_found,
            "log_loss": self.log_loss,
            "macro_f1": self.macro_f1,
            "brier": self.brier,
            "difference_to_best": self.difference_to_best,
            "difference_ci95": list(self.difference_ci95),
            "seconds_extract": round(self.seconds_extract, 3),
            "seconds_fit": round(self.seconds_fit, 3),
            "width": self.width,
            "bytes": self.bytes,
            "command": self.command,
        }

    def cells(self, by_class: bool, never_found: bool) -> list[str]:
        """Return the row as the texts of a table, and its figures by class if they are wanted."""
        to_best = "best"
        if (self.difference_to_best, *self.difference_ci95) != (0.0, 0.0, 0.0):
            to_best = Difference(self.difference_to_best, *self.difference_ci95).in_points().replace(" points", "")
        return [
            *self.factors.values(),
            figure(self.accuracy),
            interval(self.accuracy_ci95),
            *(loss(spread) for spread in (self.repeats.spread_folds, self.repeats.spread_seeds) if spread is not None),
            *([figure(self.by_class.balanced_accuracy)] if by_class else []),
            *([f"{len(self.by_class.never_found)} of {self.by_class.classes}"] if never_found else []),
            loss(self.log_loss),
            to_best,
            f"{self.seconds_extract:.1f}",
            f"{self.seconds_fit:.1f}",
            str(self.width),
            megabytes(self.bytes),
        ]


class FailedCell(NamedTuple):
    """A cell that could not be measured: its command, and the reason."""

    command: str
    reason: str


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """The cells of a grid, measured on the same images.

    Attributes:
        rows: Measured cells, best first.
        findings: Sentences on the best cell and on each factor.
        curves: Learning curve of the first fit of each cell whose head has epochs.
        failed: Cells that could not be measured.
        skipped: Files that could not be read, with the reason.
        notes: Lines about leaks, which make the figures too good, and all else that is worth knowing about the data.
        data: Classes and counts by split, with the same lines.
        remarks: What a colleague would say of the rows, each with the rows that it is true of.
        split: What was measured on, such as "the test split".
        shared: What all rows have that is not the default, as in ("pool max", "seed 7").
    """

    rows: tuple[ComparisonRow, ...]
    findings: tuple[str, ...]
    curves: Mapping[GridCell, Curve]
    failed: tuple[FailedCell, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    data: DataSummary
    remarks: tuple[str, ...]
    split: str
    shared: tuple[str, ...] = ()

    def parts(self) -> Iterator[str | Table]:
        """Yield the findings, a table of the cells, best first, the remarks, and the command of each cell alone."""
        yield from self.findings
        yield ""
        n, groups, bar = self.rows[0].n, self.rows[0].groups, self.rows[0].by_class
        size = count(n, "image") + ("" if groups is None else f" in {count(groups, 'group')}")
        yield f"measured on {self.split}, {size}; always answering `{bar.commonest}`: {figure(bar.commonest_share)}"
        if self.shared:
            yield f"all rows: {', '.join(self.shared)}"
        yield self._table()
        yield from map(remark_line, self.remarks)
        yield ""
        yield "each row alone, in the same order:"
        yield from (f"  {row.command}" for row in self.rows)

    def _table(self) -> Table:
        """Return the rows. Figures by class have a column only where they say more than the accuracy."""
        by_class = any(abs(row.by_class.balanced_accuracy - row.accuracy) > A_POINT for row in self.rows)
        never_found = any(row.by_class.never_found for row in self.rows)
        repeats = self.rows[0].repeats
        spreads = (("sd of folds", repeats.spread_folds), ("sd of seeds", repeats.spread_seeds))
        spread_names = [name for name, spread in spreads if spread is not None]
        levels, costs = self.rows[0].factors, ("extract s", "fit s", "width", "MB")
        accuracies = (
            "accuracy",
            "95 % interval",
            *spread_names,
            *["by class"] * by_class,
            *["never found"] * never_found,
        )
        alike = [name for name in levels if len({row.factors[name] for row in self.rows}) == 1]
        return Table(
            [*levels, *accuracies, "log loss", "to the best", *costs],
            [row.cells(by_class, never_found) for row in self.rows],
            optional=(*costs[::-1], *alike, "log loss", *spread_names[::-1]),
        )
