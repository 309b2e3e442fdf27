"""The fine-tuning job: train the top of a base together with its head, measure the result, and save it as a run."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from featstore.datasets.manifest import Manifest
from featstore.datasets.notes import trained_on_notes
from featstore.datasets.sources import Source
from featstore.errors import StoreError
from featstore.extraction.cache import CacheLike
from featstore.finetuning.cut_choice import CutChoice, check_fine_tunable
from featstore.finetuning.result import FineTuned
from featstore.finetuning.settings import FineTuneSettings
from featstore.finetuning.setup import FineTuneSetup, set_up_fine_tuning
from featstore.finetuning.verdict import compare_accuracies, contradiction, describe_difference, judge
from featstore.plots.files import Kind
from featstore.runs.files import load_curve, save_run
from featstore.runs.fine_tuning import FineTuning
from featstore.runs.folders import check_name, check_root, publish_run
from featstore.runs.measuring import measure_splits
from featstore.runs.moves import moved_notes
from featstore.runs.recipes import cache_of
from featstore.runs.run import Run
from featstore.runs.tensorboard import check_logs, log_run
from featstore.runs.titles import tuned_title
from featstore.system.environment import utc_now, versions
from featstore.system.files import file_digest, write_whole
from featstore.system.paths import OnePath, one_path
from featstore.system.pinned import pinned
from featstore.training.calibration import scores_for, temperature_for
from featstore.training.endings import saved_if_interrupted

if TYPE_CHECKING:
    from featstore.evaluation.metrics import Metrics
    from featstore.heads.loop import Training
    from featstore.system.progress import Progress

FINE_TUNED = "fine-tuned"  # in place of the name of a head, in the run
PIXELS = "pixels"  # in place of the name of the layer at the cut, where nothing is frozen


@dataclass(frozen=True, kw_only=True)
class _Times:
    """Readings of `time.perf_counter`: at the start, after the setup, and after the training."""

    start: float
    ready: float
    trained: float

    def seconds(self) -> dict[str, float]:
        """Return seconds by stage, up to now."""
        now = time.perf_counter()
        stages = {"features": self.ready - self.start, "fit": self.trained - self.ready, "total": now - self.start}
        return {name: round(value, 3) for name, value in stages.items()}


@pinned()
def fine_tune_run(
    head_run: Run,
    data: OnePath | Manifest | Source,
    choice: CutChoice,
    settings: FineTuneSettings,
    *,
    views: str | None = None,
    augment: str | None = None,
    weights: OnePath | None = None,
    cache: CacheLike = None,
    runs: OnePath | None = None,
    name: str | None = None,
    tensorboard: OnePath | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> FineTuned:
    """Train the top of the base of `head_run` together with its head; see `featstore.fine_tune`.

    tensorboard: folder of logs that TensorBoard shows. command: the command line that the run records.
    """
    start = time.perf_counter()
    root = Path(one_path(runs, "runs")) if runs else _folder_of(head_run)
    check_fine_tunable(head_run, choice, views, augment, settings)
    check_root(root)
    check_name(root, name)
    logs = check_logs(tensorboard)
    setup = set_up_fine_tuning(
        head_run,
        data,
        choice,
        settings,
        views=views,
        augment=augment,
        weights=weights,
        cache=cache_of(head_run, cache, progress),
        progress=progress,
    )
    setup.summary.tell(progress)
    ready = time.perf_counter()
    interrupted = True

    def save() -> FineTuned:
        times = _Times(start=start, ready=ready, trained=time.perf_counter())
        saved = _save(setup, settings, root, name, times, command=command, interrupted=interrupted)
        if interrupted:
            log_run(saved.run, logs)
        return saved

    with saved_if_interrupted(lambda: setup.trainer.improved, lambda: save().run, progress):
        setup.trainer.train(progress.steps("fine-tuning") if progress else None)
        interrupted = False
        tuned = save()
    log_run(tuned.run, logs)
    return tuned


def _folder_of(run: Run) -> Path:
    """Return the folder that holds the run's folder, even if that is the working folder (`.`)."""
    return (run.folder if run.folder.name else run.folder.absolute()).parent


def _save(
    setup: FineTuneSetup,
    settings: FineTuneSettings,
    root: Path,
    name: str | None,
    times: _Times,
    *,
    command: str | None,
    interrupted: bool,
) -> FineTuned:
    """Measure the network, save it as a run below `root`, and compare it with the head."""
    from featstore.evaluation.remarks import Course, remark_on_course, remarks_on
    from featstore.evaluation.temperature import scale
    from featstore.features.arrays import units_of

    head_run, trainer, training = setup.head_run, setup.trainer, _training(setup)
    raw = trainer.predict()
    temperature = temperature_for(raw, trainer.pictures, trainer.classes) if head_run.temperature is not None else None
    after = {split: scale(probabilities, temperature) for split, probabilities in raw.items()}
    metrics_before, metrics_after = (
        measure_splits(probabilities, trainer.pictures, trainer.classes, use_of_val)
        for probabilities, use_of_val in ((setup.before, head_run.use_of_val), (after, "stopping"))
    )
    differences = {
        split: compare_accuracies(
            setup.before[split], after[split], trainer.targets(split), units_of(trainer.pictures[split])
        )
        for split in after
    }
    verdict = judge(head_run.folder, training, differences.get("val"))
    best = training.best_epoch if "val" in after else None
    course = Course(training.epochs, best, settings.epochs, settings.patience)
    remarks = remarks_on(metrics_after, remark_on_course(course))
    seconds = times.seconds()
    manifest, plots = setup.prepared.manifest, dict[str, bytes]()

    def build(folder: Path) -> Run:
        fine_tuning = _describe_fine_tuning(setup, metrics_before, verdict.beats_head)
        made = _make_run(setup, settings, folder, metrics_after, seconds, fine_tuning, root)
        told = (*contradiction(verdict, differences.get("test")), *map(str, remarks))
        scores = scores_for(after, trainer.pictures, trainer.classes)
        made = replace(made, temperature=temperature, conformal=scores)
        made = replace(made, remarks=told, command=command, interrupted=interrupted)
        plots.update(_draw_plots(setup, made))
        save_run(made, manifest.pictures, training.curve, plots.pop("curve.png"))
        return made

    run = publish_run(root, name, build)
    notes = [*run.notes, *_write_plots(run.folder, plots)]
    held_out = next(split for split in ("test", "val", "train") if split in after)
    return FineTuned(
        run=run,
        head_run=head_run,
        metrics_before=metrics_before,
        metrics_after=metrics_after,
        recommended=run if verdict.beats_head else head_run,
        difference=describe_difference(differences[held_out], len(after[held_out]), held_out),
        verdict=verdict.text,
        notes=tuple(notes),
        data=setup.summary,
        skipped=manifest.skipped,
    )


def _training(setup: FineTuneSetup) -> Training:
    """Return the training, which has begun."""
    assert setup.trainer.training is not None
    return setup.trainer.training


def _make_run(
    setup: FineTuneSetup,
    settings: FineTuneSettings,
    folder: Path,
    metrics: dict[str, Metrics],
    seconds: dict[str, float],
    fine_tuning: FineTuning,
    root: Path,
) -> Run:
    """Save the trained part in `folder` and return its run."""
    head_run, trainer, training = setup.head_run, setup.trainer, _training(setup)
    head_file, manifest = trainer.classifier().save(folder), setup.prepared.manifest
    return Run(
        folder=folder,
        head=FINE_TUNED,
        parameters=asdict(settings),
        chosen={"epochs": training.epochs, "best_epoch": training.best_epoch},
        recipes=(setup.plan.recipe.at_absolute_paths(),),
        specs=tuple(part.spec for part in setup.plan.parts),
        train_on="all" if setup.plan.augmented else head_run.train_on,
        average=head_run.average,
        classes=trainer.classes,
        metrics=metrics,
        seconds=seconds,
        seed=settings.seed,
        data=manifest.place(),
        cache=setup.prepared.cache.folder.absolute(),
        date=utc_now(),
        fractions=head_run.fractions,
        fine_tuning=fine_tuning,
        notes=(
            *setup.summary.leaks,
            *trained_on_notes(_seen_elsewhere(setup), manifest),
            *moved_notes(root, manifest),
            *setup.summary.remarks,
        ),
        versions=versions(),
        head_file=head_file,
        head_sha256=file_digest(folder / head_file),
    )


def _seen_elsewhere(setup: FineTuneSetup) -> dict[str, str]:
    """Return the splits of the images of the head's run, without those that the leaks of the data cover already."""
    here = {p.digest for p in setup.prepared.manifest.of_split("train")}
    return {digest: split for digest, split in setup.seen.items() if digest not in here}


def _describe_fine_tuning(setup: FineTuneSetup, before: dict[str, Metrics], beats_head: bool) -> FineTuning:
    from featstore.finetuning.network import trained_layers

    return FineTuning(
        head_run=Path(os.path.abspath(setup.head_run.folder)),
        cut=setup.cut.layer if setup.cut else PIXELS,
        trainable_layers=tuple(trained_layers(setup.trainer.network)),
        hand_over=setup.hand_over,
        metrics_before=before,
        beats_head=beats_head,
    )


def _draw_plots(setup: FineTuneSetup, run: Run) -> dict[str, bytes]:
    """Return the plots by file name: both curves with the hand-over, and the network with its trained part."""
    from featstore.finetuning.diagram import describe_fine_tuning
    from featstore.plots.fine_tuning import draw_fine_tuning
    from featstore.plots.network import draw_network

    head_run = setup.head_run
    assert run.fine_tuning is not None
    title = tuned_title(head_run, run.fine_tuning.trainable_layers[0] if setup.cut else None)
    metrics = run.fine_tuning.metrics_before.get("val")
    before = {"loss": metrics.log_loss, "accuracy": metrics.accuracy} if metrics else {}
    parts, image, cached = describe_fine_tuning(setup.body, setup.cut, setup.trainer.network)
    kinds: tuple[Kind, ...] = ("png", "svg")
    plots = {f"network.{kind}": draw_network(parts, title, kind, image=image, cached=cached) for kind in kinds}
    return plots | {"curve.png": draw_fine_tuning(load_curve(head_run), _training(setup).curve, before, title)}


def _write_plots(folder: Path, plots: dict[str, bytes]) -> list[str]:
    """Write the plots and return a note for each one that cannot be written; the run is complete without them."""
    notes = []
    for name, plot in plots.items():
        try:
            write_whole(folder / name, plot)
        except StoreError as error:
            notes.append(str(error))
    return notes
