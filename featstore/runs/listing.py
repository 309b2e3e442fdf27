"""The list of the runs in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple, get_args

from featstore.errors import FeatstoreError, RunError, UsageError, param
from featstore.runs.files import load_run
from featstore.runs.folders import leftover_folders, run_folders
from featstore.runs.naming import default_name
from featstore.runs.order import Order, held_out_split, place_in
from featstore.runs.run import Run
from featstore.system.figures import with_interval
from featstore.system.paths import OnePath, one_path
from featstore.system.text import Shown, Table, count


class BrokenRun(NamedTuple):
    """A folder without a whole run, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunList(Shown):
    """The runs in a folder; `print` shows them as a table.

    Attributes:
        runs: The runs in the order that was asked for. Each has a date: for one of an early release, when its file was
            written.
        broken: Folders whose run cannot be read, and what killed processes have left.
    """

    runs: tuple[Run, ...]
    broken: tuple[BrokenRun, ...]

    def parts(self) -> Iterator[str | Table]:
        """Yield the table: a run in a row, with its settings where its name does not tell them."""
        settings = [_settings(run) for run in self.runs]
        notes = ["interrupted" if run.interrupted else "" for run in self.runs]
        rows = [
            (run.folder.name, str(run.date)[:16].replace("T", " "), *_accuracy(run), what, note)
            for run, what, note in zip(self.runs, settings, notes, strict=True)
        ]
        header = ["run", "date (UTC)", "on", "n", "accuracy", "settings", ""]
        used = [
            place for place, name in enumerate(header) if name not in ("settings", "") or any(r[place] for r in rows)
        ]
        if rows:
            yield Table([header[place] for place in used], [[row[place] for place in used] for row in rows])
        yield count(len(self.runs), "run")


def list_runs(folder: OnePath = "runs", *, sort: Order = "date") -> RunList:
    """List the runs in a folder, the latest last.

    Args:
        folder: The folder that holds those of the runs.
        sort: `date`, `name`, or `accuracy`, with the best last.

    Returns:
        The runs, and the folders whose run cannot be read.

    Raises:
        UsageError: `sort` is not known.
        RunError: There is no such folder.
    """
    root = Path(one_path(folder, "folder"))
    if sort not in get_args(Order):
        raise UsageError(f"{param('sort', sort)}: is not known: use one of {', '.join(get_args(Order))}")
    if not root.is_dir():
        raise RunError(f"{root}: no such folder; give the one in which train-head puts the folders of its runs")
    broken = [
        BrokenRun(path, f"{path}: is being written, or was left by a process that was killed")
        for path in leftover_folders(root)
    ]
    runs = []
    for path in run_folders(root):
        try:
            run = load_run(path)
            default_name(run)  # raises for what no table could show
            runs.append(run if run.date else replace(run, date=_written(path / "run.json")))
        except FeatstoreError as error:
            broken.append(BrokenRun(path, str(error)))
    return RunList(runs=tuple(sorted(runs, key=partial(place_in, sort))), broken=tuple(broken))


def _written(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _settings(run: Run) -> str:
    """Return the settings of a run whose name does not begin with them."""
    name = default_name(run)
    return "" if run.folder.name.startswith(name) else name


def _accuracy(run: Run) -> tuple[str, str, str]:
    """Return the split that says most of other images, the number of its images, and the accuracy there."""
    split = held_out_split(run)
    if split is None:
        return "-", "-", "-"
    metrics = run.metrics[split]
    return split, metrics.describe_size(), with_interval(metrics.accuracy, metrics.accuracy_ci95)
