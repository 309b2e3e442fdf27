"""What the templates show, section by section: figures as text, tables, charts, and which images are listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from featstore.auditing.findings import Check, Weight
from featstore.evaluation.all_metrics import all_metrics_table
from featstore.evaluation.confusion import class_table
from featstore.evaluation.intervals import wilson_interval
from featstore.evaluation.metrics import Metrics
from featstore.evaluation.remarks import judged_split
from featstore.evaluation.shown import metrics_table
from featstore.reporting import charts
from featstore.reporting.content import Content, ReportImage
from featstore.reporting.summary import FLATTERED
from featstore.reporting.svg import Chart
from featstore.reporting.tiles import tile_classes
from featstore.runs.run import Run
from featstore.runs.settings import settings_of
from featstore.runs.titles import title_of
from featstore.system.figures import figure, interval, loss, with_interval
from featstore.system.text import Table, count

if TYPE_CHECKING:
    from featstore.reporting.thumbnails import Thumbnails

_NOT_YET = "Do not believe the figures yet"
_SHADES = 9  # of cells of the confusion matrix, from 1
_MANY = 4  # classes of an answer, and more: they share a row
MOST_FINDINGS = 12  # of a check that are shown
MOST_PARTNERS = 3  # of a finding that are shown


class Verdict(NamedTuple):
    """Whether the figures may be believed, in a few words, and the checks that say so."""

    weight: Weight
    words: str
    checks: tuple[Check, ...]


class Fact(NamedTuple):
    """A figure at the top of the page."""

    name: str
    value: str
    detail: str = ""


class Cell(NamedTuple):
    """A cell of the confusion matrix: how many images, and how dark it is."""

    label: int
    answer: int
    n: int
    shade: int


class RangeRow(NamedTuple):
    """A row of a table with its interval as a picture."""

    name: str
    bar: Markup
    cells: Sequence[str]


@dataclass(frozen=True)
class View:
    """The content as the page shows it."""

    content: Content
    thumbnails: Thumbnails | None
    classes: Sequence[str]

    # The summary

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the figures may be believed, by the heaviest checks of the audit."""
        audit = self.content.audit
        if audit is None and self.content.data.leaks:
            return Verdict("alarm", _NOT_YET, ())
        if audit is None:
            return Verdict("note", "Not audited: nothing is known of leaks and wrong labels", ())
        if alarms := audit.of_weight("alarm"):
            return Verdict("alarm", _NOT_YET, tuple(alarms))
        if looks := audit.of_weight("look"):
            return Verdict("look", "The figures stand; some images need a look", tuple(looks))
        return Verdict("fine", "Nothing speaks against the figures", ())

    @cached_property
    def facts(self) -> list[Fact]:
        """The few figures that a reader looks for first."""
        data, run = self.content.data, self.best
        sizes = [n for of_split in data.counts.values() for n in of_split.values()]
        without = sum(data.unlabelled.values())
        facts = [
            Fact("images", f"{sum(sizes) + without:,}", f"{without:,} without a label" if without else ""),
            Fact("classes", f"{len(data.counts):,}"),
        ]
        if run and self.split and self.metrics:
            use, detail = self.metrics.used_for, f"95 % interval {interval(self.metrics.accuracy_ci95)}"
            detail += f"; too good: {FLATTERED[use]}" if use in FLATTERED else ""
            facts.append(Fact(f"accuracy on {self.split}", figure(self.metrics.accuracy), detail))
            is_best = self.content.sweep or self.content.comparison
            facts.append(Fact("best head" if is_best else "head", run.head, f"on {_bases(run)}"))
        return facts

    # The data

    @cached_property
    def class_counts(self) -> Table:
        """Images of each class by split."""
        data = self.content.data
        splits: list[str | None] = [*data.splits] or [None]
        header = ("class", *(split or "images" for split in splits))
        rows = [[name, *(f"{of_split.get(split, 0):,}" for split in splits)] for name, of_split in data.counts.items()]
        if data.unlabelled:
            rows.append(["without a label", *(f"{data.unlabelled.get(split, 0):,}" for split in splits)])
        return Table(header, rows)

    def images_of(self, paths: Sequence[str]) -> list[tuple[str, ReportImage | None]]:
        """Return the first images of a finding, each with its path, and with what is known of it if it is shown."""
        return [(path, self._by_path.get(path)) for path in paths[: 1 + MOST_PARTNERS]]

    @cached_property
    def _by_path(self) -> dict[str, ReportImage]:
        images = self.content.images
        return {image.file: image for image in images} | {image.path: image for image in images}

    # The runs

    @property
    def best(self) -> Run | None:
        """The first run."""
        return self.content.runs[0] if self.content.runs else None

    @cached_property
    def split(self) -> str | None:
        """The split whose figures tell how good the first run is."""
        return judged_split(self.best.metrics) if self.best else None

    @cached_property
    def metrics(self) -> Metrics | None:
        """The metrics of the first run on that split."""
        return self.best.metrics[self.split] if self.best and self.split else None

    @cached_property
    def compared(self) -> list[RangeRow]:
        """The runs side by side."""
        comparison = self.content.comparison
        if comparison is None:
            return []
        axis = charts.range_axis([row.accuracy_ci95 for row in comparison.rows])
        best = comparison.rows[0]
        return [
            RangeRow(
                row.name,
                charts.range_bar(axis, row.accuracy, row.accuracy_ci95, best.accuracy),
                (
                    with_interval(row.accuracy, row.accuracy_ci95),
                    loss(row.log_loss),
                    "best" if row is best else row.difference_to_best.in_points(),
                    "" if row is best else "no" if row.difference_to_best.is_significant else "yes",
                ),
            )
            for row in comparison.rows
        ]

    @cached_property
    def differences(self) -> Table | None:
        """Settings in which the runs differ; None if there are none, or one run."""
        comparison = self.content.comparison
        if comparison is None or not comparison.differences:
            return None
        header = ("setting", *(row.name for row in comparison.rows))
        return Table(header, [(name, *values) for name, values in comparison.differences.items()])

    @cached_property
    def trials(self) -> list[RangeRow]:
        """The best trials of the sweep, and the best of each other head."""
        sweep = self.content.sweep
        if sweep is None or not sweep.rows:
            return []
        axis = charts.range_axis([row.accuracy_ci95 for row in sweep.shown])
        best = sweep.rows[0]
        rows = []
        for row in sweep.shown:
            name, _, _, log_loss, behind, seconds = row.cells(sweep.by)
            bar = charts.range_bar(axis, row.accuracy, row.accuracy_ci95, best.accuracy)
            tied = "" if row is best else "yes" if row.is_tied else "no"
            cells = (with_interval(row.accuracy, row.accuracy_ci95), log_loss, behind, tied, seconds)
            rows.append(RangeRow(name, bar, cells))
        return rows

    @cached_property
    def metrics_table(self) -> Table:
        """The usual figures of the first run, as the command line prints them."""
        return metrics_table(self.best.metrics if self.best else {})

    @cached_property
    def all_metrics(self) -> Table:
        """All figures of the first run, with intervals."""
        return all_metrics_table(self.best.metrics if self.best else {})

    # Charts

    @cached_property
    def courses(self) -> list[tuple[str, list[Chart]]]:
        """The course of each training."""
        curves = [(name, curve) for name, curve in self.content.curves.items() if curve.x]
        return [(name, charts.training_charts(f"course-{place}", curve)) for place, (name, curve) in enumerate(curves)]

    @cached_property
    def reliability(self) -> Chart | None:
        """The reliability diagram; None where there are too few images."""
        found = self.metrics.reliability if self.metrics else None
        return charts.reliability_chart("reliability-chart", found) if found else None

    @cached_property
    def calibration_error(self) -> str:
        """How far the probabilities are from the truth, as text; empty where that is not known."""
        found = self.metrics.reliability if self.metrics else None
        return with_interval(found.calibration_error, found.calibration_error_ci95) if found else ""

    @cached_property
    def answer_sizes(self) -> Table | None:
        """How many held-out images may be how many classes, and how often the right one is among them.

        None where the page has a sample: it has more of the wrong answers, so its shares are not those of all images.
        """
        images = [image for image in self.content.images if image.split == self.split and image.label is not None]
        if not images or self.content.total > len(self.content.images):
            return None
        sizes = Counter(min(len(i.answers), _MANY) for i in images)
        hits = Counter(min(len(i.answers), _MANY) for i in images if i.label in i.answers)
        names = {_MANY: f"{_MANY} or more"}
        rows = [(names.get(size, str(size)), hits[size], n) for size, n in sorted(sizes.items())]
        if len(rows) > 1:
            rows.append(("all", hits.total(), len(images)))
        table = [[name, f"{n:,}", figure(hit / n), interval(wilson_interval(hit, n))] for name, hit, n in rows]
        header = ["classes in the answer", "images", "right one among them", "95 % interval"]
        if self.metrics and self.metrics.groups is not None:  # images that belong together make it wider
            header, table = header[:-1], [row[:-1] for row in table]
        return Table(header, table)

    @cached_property
    def few_shot(self) -> Chart | None:
        """Accuracy by the number of training images."""
        return charts.learning_chart("learning-chart", self.content.learning) if self.content.learning else None

    # The confusion matrix

    @cached_property
    def confusion(self) -> list[list[Cell]]:
        """The cells, a row for each class; empty without a matrix."""
        counts = self.metrics.confusion if self.metrics else None
        return [
            [Cell(label, answer, n, _shade(n, sum(row))) for answer, n in enumerate(row)]
            for label, row in enumerate(counts or ())
        ]

    @cached_property
    def per_class(self) -> Table | None:
        """The figures of each class."""
        return class_table(self.metrics.per_class) if self.metrics and self.metrics.per_class else None

    def class_number(self, name: str) -> int:
        """Return the place of a class among those that the script knows."""
        return self.classes.index(name)

    # Images

    def gallery(self, paths: Sequence[str]) -> list[int]:
        """Return the places of these images among all."""
        return [self._places[path] for path in paths]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {image.path: place for place, image in enumerate(self.content.images)}

    @cached_property
    def heat(self) -> str:
        """How the heat maps were made, as text."""
        kinds = dict.fromkeys((one.method, *one.heat.shape) for one in self.content.explanations.values())
        return ", ".join(f"{method} on {rows} × {columns} cells" for method, rows, columns in kinds)

    def tile(self, kind: str, path: str) -> str:
        """Return the classes of the tile of an image; empty if it has none."""
        image = self._by_path.get(path)
        return tile_classes(self.thumbnails, kind, image.path if image else path)

    # Provenance

    @cached_property
    def settings(self) -> Table:
        """All settings of the runs."""
        described = [settings_of(run) for run in self.content.runs]
        names = dict.fromkeys(name for settings in described for name in settings)
        rows = [[name, *(settings.get(name, "-") for settings in described)] for name in names]
        return Table(("setting", *(run.folder.name for run in self.content.runs)), rows)

    def title(self, run: Run) -> str:
        """Return what a run is, in a line."""
        return title_of(run)

    @staticmethod
    def count(number: int, what: str) -> str:
        """Return `1 image`, `2 images`."""
        return count(number, what)


def _bases(run: Run) -> str:
    return title_of(run).partition(" on ")[2]


def _shade(n: int, total: int) -> int:
    """Return 0 for an empty cell, else 1 to 9 by its share of the row."""
    return 1 + round((_SHADES - 1) * n / total) if n else 0
