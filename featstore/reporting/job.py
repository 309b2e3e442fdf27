"""The report job: all that is known of a data set and its runs, from one extraction, written as one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from featstore.datasets.manifest import Manifest
from featstore.datasets.options import DataOptions
from featstore.datasets.sources import DataLike, Source, as_manifest
from featstore.errors import DataError, FeatstoreError, UsageError, param
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import HeadName
from featstore.objects.places import kind_of
from featstore.reporting.composing import Results, compose
from featstore.reporting.measuring import Measured, measure_run
from featstore.reporting.result import Report
from featstore.reporting.settings import PageSettings, SearchSettings
from featstore.reporting.summary import told_first
from featstore.runs.folders import check_name, check_root
from featstore.runs.run import Run
from featstore.runs.side_by_side import measure_side_by_side
from featstore.sweeping.job import DEFAULT_HEADS, sweep_heads
from featstore.sweeping.settings import SweepSettings
from featstore.system.files import write_whole
from featstore.system.paths import OneOrMorePaths, OnePath, one_path
from featstore.system.pinned import pinned
from featstore.training.fit import Prepared, prepare
from featstore.training.head_recipe import HeadRecipe
from featstore.training.job import DEFAULT_RUNS, train

if TYPE_CHECKING:
    from featstore.auditing.result import Audit
    from featstore.comparison.learning_result import LearningCurve
    from featstore.sweeping.result import Sweep
    from featstore.system.progress import Progress

DEFAULT_OUT = "report.html"
# Their curves take seconds, and no TensorFlow. Of any other head, the curve is that of `logistic`.
_FAST: tuple[HeadName, ...] = ("logistic", "ridge", "lda")


@pinned()
def report_data(
    data: DataLike | Source,
    recipe: Recipe,
    heads: Sequence[HeadName] = DEFAULT_HEADS,
    search: SearchSettings | None = None,
    page: PageSettings | None = None,
    *,
    out: OnePath = DEFAULT_OUT,
    cache: CacheLike = None,
    runs: OnePath = DEFAULT_RUNS,
    name: str | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Audit `data`, search for the best of `heads`, and write a page about both; see `featstore.report`."""
    search, page = search or SearchSettings(), page or PageSettings()
    path = _check_out(out)
    root = Path(one_path(runs, "runs"))
    check_root(root)
    check_name(root, name)
    tell_assumptions([recipe], progress)
    cache = Cache.at(cache)
    with _told_how_to_go_on() as saved:
        fractions = search.val_fraction, search.test_fraction
        prepared = prepare(as_manifest(data), [recipe], *fractions, cache, progress, folds_too=True)
        audit = _audit(prepared, page, progress)
        places = {"cache": cache, "runs": root, "name": name, "command": command, "progress": progress}
        run, sweep, notes = _search(prepared, recipe, heads, search, page.seed, **places)
        saved.append(run)
        learning, problem = _learning_curve(run, prepared.given, cache, progress)
        results = Results(
            best=measure_run(run, prepared.given, cache=cache, progress=progress),
            audit=audit,
            sweep=sweep,
            learning=learning,
            notes=(*notes, *problem),
        )
        return _write(path, results, page, None, command, progress)


@pinned()
def report_runs(
    runs: Sequence[Run],
    data: DataLike | None = None,
    options: DataOptions | None = None,
    page: PageSettings | None = None,
    *,
    out: OnePath = DEFAULT_OUT,
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write a page about `runs` that exist, measured again on `data`; see `featstore.report_runs`."""
    page, path = page or PageSettings(), _check_out(out)
    if not runs:
        raise UsageError(f"{param('runs')}: expected at least one run, found none")
    if weights is not None and len(runs) > 1:
        raise UsageError(f"{param('weights')}: is for a single run; the runs name their own")
    manifest = as_manifest(_data_of(runs[0]) if data is None else data, options, cache)
    with _told_how_to_go_on():
        comparison = None
        if len(runs) > 1:
            comparison = measure_side_by_side(runs, manifest, cache=cache, progress=progress)
            runs = [row.run for row in comparison.rows]
        best, *others = (measure_run(run, manifest, weights=weights, cache=cache, progress=progress) for run in runs)
        prepared = Prepared(
            best.extraction.manifest, best.manifest, best.extraction.features, best.extraction.plans, best.cache
        )
        learning, problem = _learning_curve(best.run, best.extraction.manifest, best.cache, progress)
        results = Results(
            best=best,
            others=tuple(other.run for other in others),
            audit=_audit(prepared, page, progress),
            comparison=comparison,
            learning=learning,
            trained_on=best.trained_on,
            notes=(*_on_labels(best), *problem),
        )
        return _write(path, results, page, weights, command, progress)


def _check_out(out: OnePath) -> Path:
    """Return where the page goes; raises UsageError now, before the work, for a folder or a name of another kind."""
    path = Path(one_path(out, "out"))
    if path.is_dir():
        raise UsageError(f"{param('out', path)}: is a folder; name a file in it, as in {path / DEFAULT_OUT}")
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{param('out', path)}: the page is HTML; expected a name that ends in .html")
    return path


def _data_of(run: Run) -> str:
    """Return where the data of the run are; raises UsageError if they are not where they were."""
    if kind_of(run.data) is None:
        raise UsageError(
            f"the data of the run are expected at {run.data}, and are not there: give their place with {param('data')}"
        )
    return run.data


def _on_labels(best: Measured) -> list[str]:
    """Return a line where nothing could be measured on these images."""
    if best.extraction.manifest.classes:
        return []
    return ["no image here has a label, so the figures are those of the training of the run, on other images"]


def _audit(prepared: Prepared, page: PageSettings, progress: Progress | None) -> Audit | None:
    """Return the audit, and tell its alarms at once; None where none is wanted."""
    if not page.audit:
        return None
    from featstore.auditing.job import audit_prepared

    audit = audit_prepared(prepared, seed=page.seed, progress=progress)
    if progress:
        for check in told_first(audit):
            progress.tell(f"warning: {check.verdict}")
    return audit


def _search(
    prepared: Prepared,
    recipe: Recipe,
    heads: Sequence[HeadName],
    search: SearchSettings,
    seed: int,
    **places: Any,
) -> tuple[Run, Sweep | None, list[str]]:
    """Return the run of the best head and how it was found; without a search that of the first head, and why.

    places: what `sweep_heads` and `train` both take: where the results go, and the display.
    """
    fractions: dict[str, Any] = {"val_fraction": search.val_fraction, "test_fraction": search.test_fraction}
    settings = SweepSettings(trials=search.trials, time=search.time, seed=seed, **fractions)
    try:
        data = Source(prepared.given, DataOptions(), prepared.cache)
        found = sweep_heads(data, [recipe], heads, settings=settings, **places)
    except DataError as error:  # such as a class with fewer images than folds
        run = train(prepared.given, recipe, HeadRecipe(head=heads[0], seed=seed), **fractions, **places).run
        return run, None, [f"no search, so {heads[0]} was trained as it is: {error}"]
    return found.run, found, []


def _learning_curve(
    run: Run, data: Manifest, cache: CacheLike, progress: Progress | None
) -> tuple[LearningCurve | None, list[str]]:
    """Return the accuracies of a head like that of `run` by the number of training images, or none and why."""
    from featstore.comparison.grid import Measurement
    from featstore.comparison.learning_curve import measure_learning_curve

    if run.fine_tuning or len(run.recipes) > 1:
        kind = "fine-tuned" if run.fine_tuning else "a head on several bases"
        return None, [f"no learning curve: the run is {kind}, and each point would be a training of its own"]
    [recipe] = run.recipes
    is_fast = run.head in _FAST
    seen: dict[str, Any] = {"train_on": run.train_on, "average": run.average} if recipe.has_several_views else {}
    try:
        curve = measure_learning_curve(
            data,
            recipe,
            [cast(HeadName, run.head) if is_fast else "logistic"],
            run.parameters if is_fast else {},
            HeadRecipe(**seen, calibrate=run.temperature is not None),
            Measurement(seed=run.seed, val_fraction=run.fractions["val"], test_fraction=run.fractions["test"]),
            cache=cache,
            progress=progress,
        )
    except FeatstoreError as error:
        return None, [f"no learning curve: {error}"]
    return curve, []


def _write(
    path: Path,
    results: Results,
    page: PageSettings,
    weights: OneOrMorePaths | None,
    command: str | None,
    progress: Progress | None,
) -> Report:
    """Compose the page and write it."""
    from featstore.reporting.page import render

    content, thumbnails = compose(results, page, weights=weights, command=command, progress=progress)
    text = render(content, thumbnails).encode("utf-8", "surrogateescape")
    write_whole(path, text)
    return Report(
        path=path,
        bytes=len(text),
        content=content,
        trained_on=results.trained_on,
        skipped=results.best.extraction.manifest.skipped,
    )


@contextmanager
def _told_how_to_go_on() -> Iterator[list[Run]]:
    """Say, where the block is interrupted, what is kept; it adds the run that it has saved."""
    saved: list[Run] = []
    try:
        yield saved
    except BaseException as stop:
        if not isinstance(stop, Exception):
            stop.add_note(
                "the report is not written; the same command goes on with the features and trials that it has"
            )
            for run in saved:
                stop.add_note(f"the search is over: `featstore report {run.folder}` reports on its winner")
        raise
