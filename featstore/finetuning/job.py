"""Fine-tuning: the top of a base and its trained head go on learning together, from cached inputs of that top."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featstore.datasets.leaks import leak_notes, trained_on_notes
from featstore.datasets.manifest import Manifest, Skipped
from featstore.errors import FeatstoreError, StoreError
from featstore.extraction.cache import Cache, CacheLike
from featstore.finetuning.settings import FineTuneSettings
from featstore.finetuning.setup import Unfreeze, Unfrozen, check_unfreezable, unfreeze_run
from featstore.runs.fine_tuning import FineTuning
from featstore.runs.run import Run, check_root, load_curve, new_folder, save_run
from featstore.system.environment import versions
from featstore.system.files import file_digest, write_whole
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.metrics import Metrics
    from featstore.evaluation.paired import Difference
    from featstore.heads.loop import Training
    from featstore.system.progress import Progress

HEAD = "fine-tuned"  # what such a run names instead of a head
WHOLE = "pixels"  # the cut where nothing is frozen
LEAST_GAIN = 1e-3  # nats of validation loss: less is rounding


@dataclass(frozen=True, kw_only=True)
class FineTuned(Shown):
    """A fine-tuned run and the head's run that it began with, both measured on the same images.

    Attributes:
        run: The new run.
        head_run: The run of the head.
        metrics_before: Metrics of `head_run` by split.
        metrics_after: Metrics of `run` by split.
        recommended: `run` if it is better on the validation split, else `head_run`.
        difference: Paired difference of the accuracies on the test split (validation without one), in words.
        verdict: What the validation split says, in words.
        notes: What makes the figures too good, and plots that could not be written.
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
    skipped: tuple[Skipped, ...]

    @property
    def fine_tuning(self) -> FineTuning:
        """How `run` came from `head_run`."""
        assert self.run.fine_tuning is not None
        return self.run.fine_tuning

    @property
    def cut(self) -> str:
        """Name of the layer whose activation the trained part is fed with; `pixels` where nothing is frozen."""
        return self.fine_tuning.cut

    @property
    def trainable_layers(self) -> tuple[str, ...]:
        """Names of the layers that were trained, from the image upwards."""
        return self.fine_tuning.trainable_layers

    def parts(self) -> Iterator[str | Table]:
        """Yield the cut, the metrics before and after, the verdict, and the folders."""
        layers = self.trainable_layers
        yield f"cut at {self.cut}: {len(layers)} layers trained, {layers[0]} to {layers[-1]}"
        rows = []
        for split, before in self.metrics_before.items():
            after = self.metrics_after[split]
            accuracies = [
                f"{m.accuracy:.3f} [{m.accuracy_ci95[0]:.3f}, {m.accuracy_ci95[1]:.3f}]" for m in (before, after)
            ]
            rows.append([split, str(before.n), *accuracies, f"{before.log_loss:.3f}", f"{after.log_loss:.3f}"])
        yield Table(["split", "n", "accuracy before", "accuracy after", "log loss before", "log loss after"], rows)
        yield f"difference: {self.difference}"
        yield self.verdict
        run = self.run
        chosen = f"best epoch {run.chosen['best_epoch']} of {run.chosen['epochs']}"
        yield f"fine-tuned ({chosen}): features {run.seconds['features']:.1f} s, fit {run.seconds['fit']:.1f} s"
        yield f"saved in {run.folder}; recommended: {self.recommended.folder}"


def fine_tune_run(
    head_run: Run,
    data: str | os.PathLike[str] | Manifest,
    where: Unfreeze,
    settings: FineTuneSettings,
    *,
    views: str | None = None,
    augment: str | None = None,
    weights: str | None = None,
    cache: CacheLike = None,
    runs: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> FineTuned:
    """Train the top of the base of `head_run` together with its head, as `featstore.fine_tune` says."""
    start = time.perf_counter()
    root = Path(runs) if runs else _beside(head_run.folder)
    check_unfreezable(head_run, where, views, augment, settings)
    check_root(root)
    unfrozen = unfreeze_run(head_run, data, where, settings, (views, augment), weights, Cache.at(cache), progress)
    ready = time.perf_counter()
    try:
        unfrozen.stage.train(progress.steps("fine-tuning") if progress else None)
        return _save(unfrozen, settings, root, (start, ready, time.perf_counter()))
    except BaseException as stop:  # Ctrl-C, or a disk that fails: what the epochs so far have brought is kept
        training = unfrozen.stage.training
        if training is not None and training.best_epoch:
            with suppress(FeatstoreError):
                saved = _save(unfrozen, settings, root, (start, ready, time.perf_counter()))
                stop.add_note(f"the best of the {training.epochs} epochs so far is saved in {saved.run.folder}")
        raise


def _beside(folder: Path) -> Path:
    """The folder that `folder` is in, also where it is named as the working folder."""
    return (folder if folder.name else folder.absolute()).parent


def _save(unfrozen: Unfrozen, tuning: FineTuneSettings, root: Path, times: tuple[float, float, float]) -> FineTuned:
    """Measure the network and save it; `times` are those of the start, of the hand-over and of the training's end."""
    from featstore.evaluation.metrics import compute_metrics

    head_run, stage, training = unfrozen.head_run, unfrozen.stage, unfrozen.stage.training
    assert training is not None
    answers = stage.ask()
    names = {split: [p.class_name for p in pictures] for split, pictures in stage.pictures.items()}
    before, after = (
        {split: compute_metrics(p, names[split], stage.classes) for split, p in found.items()}
        for found in (unfrozen.before, answers)
    )
    difference = _difference(unfrozen, answers, "val") if "val" in answers else None
    beats, verdict = _verdict(head_run, training, difference)
    start, ready, trained = times
    seconds = {"features": ready - start, "fit": trained - ready, "total": time.perf_counter() - start}
    manifest, folder = unfrozen.prepared.manifest, new_folder(root, f"{head_run.folder.absolute().name}-tuned")
    try:
        fine_tuning = _describe_tuning(unfrozen, before, beats)
        run = _make_run(unfrozen, tuning, folder, after, {k: round(v, 3) for k, v in seconds.items()}, fine_tuning)
        pictures = _draw(unfrozen, run)
        save_run(run, manifest.pictures, training.curve, pictures.pop("curve.png"))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # half a run is none
        raise
    notes = [*run.notes]
    for name, picture in pictures.items():
        try:
            write_whole(folder / name, picture)
        except StoreError as error:  # the run is whole without it
            notes.append(str(error))
    held_out = next(split for split in ("test", "val", "train") if split in answers)
    return FineTuned(
        run=run,
        head_run=head_run,
        metrics_before=before,
        metrics_after=after,
        recommended=run if beats else head_run,
        difference=_in_words(_difference(unfrozen, answers, held_out), len(answers[held_out]), held_out),
        verdict=verdict,
        notes=tuple(notes),
        skipped=manifest.skipped,
    )


def _make_run(
    unfrozen: Unfrozen,
    tuning: FineTuneSettings,
    folder: Path,
    metrics: dict[str, Metrics],
    seconds: dict[str, float],
    fine_tuning: FineTuning,
) -> Run:
    """Save the trained part in `folder` and return its run."""
    head_run, stage, training = unfrozen.head_run, unfrozen.stage, unfrozen.stage.training
    assert training is not None
    head_file, manifest = stage.trained().save(folder), unfrozen.prepared.manifest
    return Run(
        folder=folder,
        head=HEAD,
        parameters=asdict(tuning),
        chosen={"epochs": training.epochs, "best_epoch": training.best_epoch},
        recipes=(unfrozen.plan.recipe.at_absolute_paths(),),
        specs=tuple(part.spec for part in unfrozen.plan.parts),
        train_on="all" if unfrozen.plan.augmented else head_run.train_on,
        average=head_run.average,
        classes=stage.classes,
        metrics=metrics,
        seconds=seconds,
        seed=tuning.seed,
        data=os.path.abspath(manifest.source),
        fractions=head_run.fractions,
        fine_tuning=fine_tuning,
        notes=(*leak_notes(manifest), *trained_on_notes(_trained_on_elsewhere(unfrozen), manifest)),
        versions=versions(),
        head_file=head_file,
        head_sha256=file_digest(folder / head_file),
    )


def _describe_tuning(unfrozen: Unfrozen, before: dict[str, Metrics], beats_head: bool) -> FineTuning:
    from featstore.finetuning.network import trained_layers

    return FineTuning(
        head_run=Path(os.path.abspath(unfrozen.head_run.folder)),
        cut=unfrozen.cut.layer if unfrozen.cut else WHOLE,
        trainable_layers=tuple(trained_layers(unfrozen.network)),
        hand_over=unfrozen.hand_over,
        metrics_before=before,
        beats_head=beats_head,
    )


def _draw(unfrozen: Unfrozen, run: Run) -> dict[str, bytes]:
    """The pictures by their file names: both curves with the hand-over, and the network with what is trained in it."""
    from featstore.finetuning.diagram import parts_of
    from featstore.plots.fine_tuning import draw_fine_tuning
    from featstore.plots.network import draw_network

    head_run, training = unfrozen.head_run, unfrozen.stage.training
    assert training is not None
    assert run.fine_tuning is not None
    title = f"{head_run.head} on {head_run.recipes[0].model}, then fine-tuned from {run.fine_tuning.cut} on"
    metrics = run.fine_tuning.metrics_before.get("val")
    before = {"loss": metrics.log_loss, "accuracy": metrics.accuracy} if metrics else {}
    parts = parts_of(unfrozen.body, unfrozen.cut, unfrozen.network)
    drawn = {f"network.{kind}": draw_network(parts, title, kind) for kind in ("png", "svg")}
    return drawn | {"curve.png": draw_fine_tuning(load_curve(head_run), training.curve, before, title)}


def _verdict(head_run: Run, training: Training, difference: Difference | None) -> tuple[bool, str]:
    """Whether validation speaks for the network, and what it says; `difference` is that of its accuracies there."""
    losses, right = (training.history.get(name, []) for name in ("val_loss", "val_accuracy"))
    if not losses:
        return False, f"no validation split says whether this is better: {head_run.folder} stays the recommended run"
    best = training.best_epoch
    if losses[best] > losses[0] - LEAST_GAIN:
        return False, (
            f"validation never beat the cached head (log loss {losses[0]:.3f}, at best {min(losses[1:]):.3f} in "
            f"{training.epochs} epochs): {head_run.folder} stays the recommended run"
        )
    fell = f"log loss {losses[0]:.3f} -> {losses[best]:.3f}, accuracy {right[0]:.3f} -> {right[best]:.3f}"
    if difference is not None and difference.high < 0:
        return False, f"on validation fewer answers are right ({fell}): {head_run.folder} stays the recommended run"
    return True, f"validation beat the cached head in epoch {best} of {training.epochs} ({fell})"


def _difference(unfrozen: Unfrozen, after: dict[str, NDArray[np.float64]], split: str) -> Difference:
    """Accuracy after less before, on the same images."""
    from featstore.evaluation.paired import paired_difference

    truth = unfrozen.stage.truth(split)
    right = [(p[split].argmax(axis=1) == truth).astype(float) for p in (after, unfrozen.before)]
    return paired_difference(*right)


def _in_words(difference: Difference, count: int, split: str) -> str:
    verdict = "more than noise" if difference.is_significant else "cannot be told apart"
    return f"{difference.in_points()} on {count} {split} images: {verdict}"


def _trained_on_elsewhere(unfrozen: Unfrozen) -> dict[str, str]:
    """The splits that the images of the head had, less what `leak_notes` tells of this data set already."""
    here = {p.digest for p in unfrozen.prepared.manifest.of_split("train")}
    return {digest: split for digest, split in unfrozen.seen.items() if digest not in here}
