"""The setup of fine-tuning: the cut, the cached rows there, the network above it, and the check of the hand-over.

The hand-over is the moment before the first step. The network above the cut, fed with cached activations, then has the
weights of the base and of the head, so it must predict what the head predicts from cached features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from featstore.copies.leaks import summarize_with_copies
from featstore.datasets.manifest import Manifest
from featstore.datasets.sources import Source, as_manifest
from featstore.datasets.summary import DataSummary
from featstore.errors import DataError, RunError, UsageError, param
from featstore.extraction.cache import Cache
from featstore.extraction.plan import Plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import weights_state
from featstore.features.views import load_in_blocks
from featstore.finetuning.cut_choice import CutChoice
from featstore.finetuning.precision import check_precision, layers_policy
from featstore.finetuning.settings import FineTuneSettings
from featstore.images.reading import Reading
from featstore.images.views import Augmentation, parse_augmentation, parse_views
from featstore.runs.files import load_splits
from featstore.runs.fine_tuning import HandOver, HandOverAccuracy
from featstore.runs.recipes import plans_of, weights_wanted
from featstore.runs.run import Run
from featstore.spec import FeatureSpec
from featstore.system.paths import OnePath, one_path
from featstore.system.tensorflow_loader import load_tensorflow
from featstore.training.fit import Prepared, prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.bases.blocks import Separator
    from featstore.finetuning.network import Body
    from featstore.finetuning.trainer import Trainer
    from featstore.system.progress import Progress

LARGEST_DIFFERENCE = 0.05  # of a probability at the hand-over; rounding to float16 makes a thousandth, seldom more


@dataclass(frozen=True, kw_only=True)
class FineTuneSetup:
    """A trainer that is ready, and what is known before its first step.

    Attributes:
        head_run: The run of the head.
        prepared: The features, complete in the cache, and the manifest with its splits.
        summary: What the data set holds, with notes.
        plan: The cached rows that the trainer reads.
        body: The base from the image to the features of the head.
        cut: Where the base is cut; None if the whole base is trained.
        trainer: The trainer of the part above the cut, with the head on top.
        before: Probabilities (n, classes) of the cached head by split.
        hand_over: How close its network is to the cached head before the first step.
        seen: Splits of the images that the head was trained and measured on, by content digest.
    """

    head_run: Run
    prepared: Prepared
    summary: DataSummary
    plan: Plan
    body: Body
    cut: Separator | None
    trainer: Trainer
    before: dict[str, NDArray[np.float64]]
    hand_over: HandOver
    seen: dict[str, str]


def set_up_fine_tuning(
    run: Run,
    data: OnePath | Manifest | Source,
    choice: CutChoice,
    settings: FineTuneSettings,
    *,
    views: str | None,
    augment: str | None,
    weights: OnePath | None,
    cache: Cache,
    progress: Progress | None,
) -> FineTuneSetup:
    """Find the cut, complete the rows of `data` there, and put the head of `run` on the part above it.

    Raises UsageError if the base cannot be cut there, DataError if the classes are not those of the run, RunError if
    the network does not predict what the head predicts.
    """
    weights = None if weights is None else one_path(weights, "weights")
    with weights_wanted(run, weights):
        [plan] = plans_of(run, weights, cache, read_weights=True)
    recipe = plan.recipe
    manifest = _with_classes_of(run, data)
    run.load_head()  # fail early: extraction may take long
    seen = load_splits(run)
    body, cut = _cut_base(run.specs[0], recipe, choice, settings)
    given = replace(run.recipes[0], model=recipe.model, weights=recipe.weights)
    input_recipe, ranges = _input_recipe(given, run.specs[0].reading, cut.layer if cut else None, views, augment)
    fractions = run.fractions["val"], run.fractions["test"]
    prepared = prepare(manifest, [recipe, input_recipe], *fractions, cache, progress, are_asked_for=False)
    head_plan, plan = prepared.plans

    trainer = _make_trainer(run, body, cut, prepared, settings, ranges)
    before = {
        split: run.predict_blocks(load_in_blocks(some, [head_plan], cache)) for split, some in trainer.pictures.items()
    }
    hand_over = _check_hand_over(run, before, trainer)
    return FineTuneSetup(
        head_run=run,
        prepared=prepared,
        summary=summarize_with_copies(prepared.manifest, prepared.plans, prepared.cache, progress),
        plan=plan,
        body=body,
        cut=cut,
        trainer=trainer,
        before=before,
        hand_over=hand_over,
        seen=seen,
    )


def _with_classes_of(run: Run, data: OnePath | Manifest | Source) -> Manifest:
    """Return the manifest of `data`; raises DataError for other classes than those of the run."""
    manifest = as_manifest(data)
    if manifest.classes and set(manifest.classes) != set(run.classes):
        raise DataError(
            f"{manifest.source}: has the classes {', '.join(manifest.classes)}; expected those of the run: "
            f"{', '.join(run.classes)}"
        )
    return manifest


def _cut_base(
    spec: FeatureSpec, recipe: Recipe, choice: CutChoice, settings: FineTuneSettings
) -> tuple[Body, Separator | None]:
    """Return the base up to the features of `spec`, and its cut; None if the whole base is trained."""
    load_tensorflow()
    check_precision(settings.precision)
    from featstore.finetuning.network import HEAD_LAYER, Body, check_rates

    body = Body(recipe.source(), spec, weights_state(recipe.source(), spec.reading.height, spec.reading.width))
    cut = None if choice.whole else body.find_cut(choice.blocks, choice.prefix, choice.layer)
    check_rates([*filter(None, map(body.layer_name, body.layers_above(cut))), HEAD_LAYER], settings.rates)
    return body, cut


def _make_trainer(
    run: Run,
    body: Body,
    cut: Separator | None,
    prepared: Prepared,
    settings: FineTuneSettings,
    ranges: Augmentation | None,
) -> Trainer:
    """Return the trainer of the part above `cut` with the head of `run` on top."""
    from featstore.finetuning.trainer import Trainer

    head = run.load_head().network(prepared.features[0].shape)
    network = body.network(cut, head, layers_policy(settings.precision), settings.seed)
    plan = prepared.plans[1]
    return Trainer(
        network, prepared, plan, settings, run.classes, train_on=run.train_on, average=run.average, ranges=ranges
    )


def _input_recipe(
    recipe: Recipe, reading: Reading, layer: str | None, views: str | None, augment: str | None
) -> tuple[Recipe, Augmentation | None]:
    """Return the recipe of the trainer's input: activations of `layer`, or pixels if it is None.

    For pixels, the ranges of their augmentation are returned too; None if they are not augmented.
    """
    if views is not None and (layer is None or not parse_views(views)[1]):
        raise UsageError(
            f"{param('views', views)}: expected augment:K, and not with {param('whole', True)}, which draws new "
            "versions in each epoch"
        )
    if layer is not None:
        ranges = recipe.augment if augment is None else augment
        return replace(recipe, layer=layer, pool="none", views=views or recipe.views, augment=ranges), None
    size = f"{reading.height}x{reading.width}"
    pixels = replace(recipe.on_pixels(), size=size, views="one", augment=None, dtype="float32")
    if augment == "none":
        return pixels, None
    if reading.name == "keras-compat":
        raise UsageError(
            f"{param('whole', True)}: the reading {reading.name} cannot augment images; give {param('augment', 'none')}"
        )
    return pixels, parse_augmentation(augment if augment is not None else recipe.augment or "")


def _check_hand_over(run: Run, before: dict[str, NDArray[np.float64]], trainer: Trainer) -> HandOver:
    """Compare the network before its first step with the cached head; raises RunError for more than rounding."""
    import numpy as np

    from featstore.evaluation.temperature import scale

    start = {split: scale(p, run.temperature) for split, p in trainer.predict().items()}
    largest = max(float(np.abs(before[split] - start[split]).max()) for split in before)
    if not largest <= LARGEST_DIFFERENCE:
        raise RunError(
            f"{run.folder}: the network above the cut does not predict what its head predicts: probabilities differ "
            f"by up to {largest:.2g}; expected rounding errors; train the head again, with {param('dtype', 'float32')}"
        )
    head, network = (
        {split: float((p.argmax(axis=1) == trainer.targets(split)).mean()) for split, p in probabilities.items()}
        for probabilities in (before, start)
    )
    return HandOver(largest_difference=largest, accuracy=HandOverAccuracy(head=head, network=network))
