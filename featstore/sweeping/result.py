"""What a sweep found: the trials, best first, which are not significantly different, and the run of the winner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.datasets.manifest import Skipped
from featstore.datasets.summary import DataSummary
from featstore.evaluation.paired import Difference
from featstore.extraction.recipe import Recipe
from featstore.runs.run import Run
from featstore.sweeping.settings import By, SweepSettings
from featstore.system.figures import figure, in_points, interval, loss, with_interval
from featstore.system.text import Shown, Table, count

if TYPE_CHECKING:
    from featstore.sweeping.ensemble import Ensemble
    from featstore.sweeping.searching import Scope

SHOWN = 6  # of the best trials in the table, which then has the best of each other head; --json has all
_WORTH_NAMING = 1.0  # seconds of training that a cheaper head saves


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """One trial, measured on every image by a head that has not seen it.

    Attributes:
        name: Head, parameters, and what varies of the features.
        recipe: Recipe of the features.
        head: Name of the head.
        parameters: Parameters of the head, where they differ from its defaults.
        accuracy: Share of right predictions, 0 to 1.
        accuracy_ci95: 95 % interval (low, high). If the trial may be the best, it allows for that choice.
        log_loss: Mean over the images, in nats.
        behind: What it is behind the best, in log loss or in accuracy as the sweep goes by; 0 or more.
        behind_ci95: Interval (low, high) of this; 95 % for all pairs of trials together.
        is_tied: Whether it is not significantly different from the best in that.
        seconds: Seconds of its trainings in all folds; a share of those of its path.
    """

    name: str
    recipe: Recipe
    head: str
    parameters: Mapping[str, Any]
    accuracy: float
    accuracy_ci95: tuple[float, float]
    log_loss: float
    behind: float
    behind_ci95: tuple[float, float]
    is_tied: bool
    seconds: float

    def describe(self) -> dict[str, Any]:
        """Return the row as `featstore sweep --json` prints it."""
        return {
            "name": self.name,
            "recipe": self.recipe.describe(),
            "head": self.head,
            "parameters": dict(self.parameters),
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.accuracy_ci95),
            "log_loss": self.log_loss,
            "behind": self.behind,
            "behind_ci95": list(self.behind_ci95),
            "is_tied": self.is_tied,
            "seconds": round(self.seconds, 3),
        }

    def cells(self, by: By) -> list[str]:
        """Return the row as the texts of a table."""
        behind = Difference(self.behind, *self.behind_ci95)
        text = "best"
        if behind != (0.0, 0.0, 0.0):
            text = _nats(behind) if by == "log-loss" else in_points(behind.value, (behind.low, behind.high))
        accuracy = [figure(self.accuracy), interval(self.accuracy_ci95)]
        return [self.name, *accuracy, loss(self.log_loss), text, f"{self.seconds:.1f}"]


@dataclass(frozen=True, repr=False, kw_only=True)
class Sweep(Shown):
    """The trials of a sweep, and the run of its winner.

    Attributes:
        run: The winner, trained on the training split and saved; its metrics are the only ones on the test split.
        rows: Trials that have an answer for every image, best first.
        tried: Number of trials, with those that were given up as clearly worse, and those that failed.
        given_up: Number of trials that were given up.
        failed: Trials that could not be trained, by name, with the reason.
        n: Number of images of the cross-validation.
        groups: Number of groups that these fall into; None if each is one of its own.
        folds: Number of folds.
        by: What the winner is the best in.
        findings: What the sweep says, in sentences.
        seconds: Seconds of the search.
        journal: File with the trials, from which the same command goes on.
        skipped: Files that could not be read, with the reason.
        notes: Lines about leaks, and all else that is worth knowing about the data.
        data: Classes and counts by split, with the same lines.
    """

    run: Run
    rows: tuple[SweepRow, ...]
    tried: int
    given_up: int
    failed: Mapping[str, str]
    n: int
    groups: int | None
    folds: int
    by: By
    findings: tuple[str, ...]
    seconds: float
    journal: Path
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    data: DataSummary

    def parts(self) -> Iterator[str | Table]:
        """Yield the findings, a table of the best trials, and the run of the winner."""
        yield from self.findings
        yield ""
        size = count(self.n, "image") + ("" if self.groups is None else f" in {count(self.groups, 'group')}")
        yield f"{self.folds}-fold cross-validation on {size}; no image of a test split was used"
        header = ["trial", "accuracy", "95 % interval", "log loss", f"behind in {self.by.replace('-', ' ')}", "fit s"]
        shown = self.shown
        yield Table(header, [row.cells(self.by) for row in shown], optional=["fit s", "95 % interval"])
        if len(self.rows) > len(shown):
            yield f"and {len(self.rows) - len(shown)} more; --json has all"
        yield ""
        yield "the winner, trained on the training split:"
        yield from self.run.parts()

    @property
    def shown(self) -> list[SweepRow]:
        """The best trials, then the best of each head that is not among them."""
        known, found = {row.head for row in self.rows[:SHOWN]}, [*self.rows[:SHOWN]]
        for row in self.rows[SHOWN:]:
            if row.head not in known:
                known.add(row.head)
                found.append(row)
        return found

    def describe(self) -> dict[str, Any]:
        """Return what `featstore sweep --json` prints next to the run."""
        return {
            "rows": [row.describe() for row in self.rows],
            "tried": self.tried,
            "given_up": self.given_up,
            "failed": dict(self.failed),
            "n": self.n,
            "groups": self.groups,
            "folds": self.folds,
            "by": self.by,
            "findings": list(self.findings),
            "seconds": round(self.seconds, 3),
            "journal": str(self.journal),
        }


def findings_of(
    rows: Sequence[SweepRow],
    saved: SweepRow,
    settings: SweepSettings,
    ensemble: Ensemble | None,
    scope: Scope,
) -> list[str]:
    """Return what a sweep says of its trials: which is best, and which are not significantly different.

    saved: the best row that a run can keep.
    """
    best, tied = rows[0], [row for row in rows[1:] if row.is_tied]
    accuracy = with_interval(best.accuracy, best.accuracy_ci95)
    sentences = [f"best: {best.name}: accuracy {accuracy}, log loss {loss(best.log_loss)}"]
    if len(rows) > 1:
        sentences.append(f"{len(tied)} of {len(rows) - 1} other finished trials are not significantly different")
    cheapest = min(tied, key=lambda row: row.seconds, default=best)
    if cheapest.seconds < best.seconds / 2 and best.seconds - cheapest.seconds >= _WORTH_NAMING:
        sentences.append(
            f"the cheapest of these is {cheapest.name}, in {cheapest.seconds:.1f} s of training instead of "
            f"{best.seconds:.1f} s"
        )
    if saved is not best:
        sentences.append(f"a run cannot keep {best.head}, so the best of the others is saved: {saved.name}")
    if settings.ensemble:
        sentences.append(_on_ensemble(ensemble, scope, settings.by))
    return sentences


def _on_ensemble(ensemble: Ensemble | None, scope: Scope, by: By) -> str:
    """Return whether the best ensemble is better than the best trial, and so which of them is saved."""
    if ensemble is None:
        return "no ensemble: it takes two heads, and all trials on these features are of one"
    names = " + ".join(map(scope.text, ensemble.members))
    gain = Difference(-ensemble.gain.value, -ensemble.gain.high, -ensemble.gain.low)
    amount = f"{_nats(gain)} nats" if by == "log-loss" else in_points(gain.value, (gain.low, gain.high))
    if ensemble.is_better:
        return f"the ensemble {names} is better than the best of them by {amount}, so it is saved"
    return f"no ensemble is better beyond noise, so the best trial is saved: {names} gains {amount}"


def _nats(behind: Difference) -> str:
    return f"{loss(behind.value)} [{loss(behind.low)}, {loss(behind.high)}]"
