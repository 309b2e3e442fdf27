"""What is unfrozen, and all that has to be right before the first step: the cut, its rows, and the hand-over."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from featstore.datasets.manifest import Manifest, scan
from featstore.errors import DataError, RunError, UsageError, param
from featstore.extraction.cache import Cache
from featstore.extraction.plan import Plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import weights_state
from featstore.features.views import load_in_blocks
from featstore.finetuning.settings import FineTuneSettings
from featstore.images.reading import Reading
from featstore.images.views import Augmentation, parse_augmentation, parse_views
from featstore.runs.fine_tuning import HandOver, HandOverAccuracy
from featstore.runs.recipes import recipes_of
from featstore.runs.run import Run, load_splits
from featstore.system.tensorflow_loader import load_tensorflow
from featstore.training.fit import Prepared, prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.bases.blocks import Separator
    from featstore.finetuning.network import Body
    from featstore.finetuning.trainer import Stage
    from featstore.system.progress import Progress

LARGEST_DIFFERENCE = 0.05  # of a probability at the hand-over; rounding to float16 makes a thousandth, seldom more


@dataclass(frozen=True, kw_only=True)
class Unfreeze:
    """From where on a base is trained.

    Its topmost `blocks` (1 if nothing else is said), what follows from the first layer whose name begins with `prefix`,
    or from `layer`, or the `whole` of it.
    """

    blocks: int | None = None
    prefix: str | None = None
    layer: str | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if sum((self.blocks is not None, self.prefix is not None, self.layer is not None, self.whole)) > 1:
            raise UsageError(
                f"{param('blocks')}, {param('unfreeze')}, {param('unfreeze_from')} and {param('whole')} exclude "
                "each other: give one of them"
            )


@dataclass(frozen=True, kw_only=True)
class Unfrozen:
    """A stage ready for training, and what is known before it.

    Attributes:
        head_run: The run of the head.
        prepared: The features, complete in the cache, and the manifest with its splits.
        plan: The rows that the stage is fed with.
        body: The base up to the features of the head.
        cut: Where it is cut; None for the whole of it.
        network: The part above the cut with the head on it.
        stage: Its training.
        before: Probabilities (n, classes) of the cached head by split.
        hand_over: The network beside the head before the first step.
        seen: Splits of the images that the head was made with, by content digest.
    """

    head_run: Run
    prepared: Prepared
    plan: Plan
    body: Body
    cut: Separator | None
    network: Any
    stage: Stage
    before: dict[str, NDArray[np.float64]]
    hand_over: HandOver
    seen: dict[str, str]


def check_unfreezable(
    run: Run, where: Unfreeze, views: str | None, augment: str | None, tuning: FineTuneSettings
) -> None:
    """Raise UsageError for a run that has nothing to unfreeze, or whose head sees what the top of one base cannot."""
    recipe, reason = run.recipes[0], None
    if run.fine_tuning:
        reason = "is fine-tuned already; give the run of its head"
    elif len(run.recipes) > 1:
        reason = "has several bases side by side; train a head on one of them"
    elif recipe.source().is_pixels:
        reason = "has no base to unfreeze: its head learns from the pixels"
    elif recipe.scales:
        reason = f"sees images at several sizes, and a cut has one; train a head without {param('scales')}"
    elif run.average == "features" and parse_views(recipe.views)[0] != "one":
        reason = "averages features over views, which lie above the cut; train a head that averages probabilities"
    elif (where.whole or views) and (parse_views(recipe.views)[0] != "one" or recipe.resize):
        reason = "sees crops; random versions are of whole images: train a head on these"
    if reason:
        raise UsageError(f"{run.folder}: {reason}")
    _check_options(where.whole, parse_views(views or recipe.views)[1] > 0, augment, tuning)


def _check_options(whole: bool, augmented: bool, augment: str | None, tuning: FineTuneSettings) -> None:
    """Raise UsageError for what would have no effect."""
    if augment == "none" and not whole:
        raise UsageError(
            f"{param('augment', 'none')}: is for {param('whole', True)}; from the cache nothing is augmented "
            f"without {param('views', 'augment:K')}"
        )
    if augment is not None and not (whole or augmented):
        raise UsageError(
            f"{param('augment', augment)}: is for augmented views, as in {param('views', 'augment:4')}, and for "
            f"{param('whole', True)}"
        )
    if whole and augment != "none" and tuning.memory is not None:
        raise UsageError(
            f"{param('memory')}: {param('whole', True)} reads its images again in each epoch and holds none; "
            "leave it out"
        )


def unfreeze_run(
    run: Run,
    data: str | os.PathLike[str] | Manifest,
    where: Unfreeze,
    tuning: FineTuneSettings,
    augmentation: tuple[str | None, str | None],
    weights: str | None,
    cache: Cache,
    progress: Progress | None,
) -> Unfrozen:
    """Find the cut, complete the rows of `data` there, and put the head of `run` on what is above it.

    augmentation: `views` and `augment` as in `fine_tune`. Raises UsageError where the base cannot be cut there,
    DataError for other classes than those of the run, RunError where the network does not answer as the head.
    """
    [recipe] = recipes_of(run, weights, cache)
    manifest = data if isinstance(data, Manifest) else scan(data)
    if manifest.classes and manifest.classes != run.classes:
        raise DataError(
            f"{manifest.source}: has the classes {', '.join(manifest.classes)}, the run {', '.join(run.classes)}; "
            "expected the same"
        )
    source, spec, head, seen = recipe.source(), run.specs[0], run.load_head(), load_splits(run)
    load_tensorflow()
    from featstore.finetuning.network import HEAD, Body, check_rates
    from featstore.finetuning.trainer import Stage

    body = Body(source, spec, weights_state(source, spec.reading.height, spec.reading.width))
    cut = None if where.whole else body.find_cut(where.blocks, where.prefix, where.layer)
    check_rates([*filter(None, map(body.called, body.layers_above(cut))), HEAD], tuning.rates)
    given = run.recipes[0].with_weights(weights) if weights else run.recipes[0]
    below, ranges = _input_recipe(given, spec.reading, cut.layer if cut else None, *augmentation)
    fractions = run.fractions["val"], run.fractions["test"]
    prepared = prepare(manifest, [recipe, below], *fractions, cache, progress)
    head_plan, plan = prepared.plans
    options: dict[str, Any] = {"train_on": run.train_on, "average": run.average, "ranges": ranges}
    network = body.network(cut, head.network(prepared.features[0].shape), seed=tuning.seed)
    stage = Stage(network, prepared, plan, replace(tuning, precision="float32"), **options)
    before = {split: run.answer(load_in_blocks(some, [head_plan], cache)) for split, some in stage.pictures.items()}
    hand_over = _compare(run, before, stage.ask(), stage)
    if tuning.precision != "float32":
        network = body.network(cut, head.network(prepared.features[0].shape), tuning.precision, tuning.seed)
        stage = Stage(network, prepared, plan, tuning, **options)
    return Unfrozen(
        head_run=run,
        prepared=prepared,
        plan=plan,
        body=body,
        cut=cut,
        network=network,
        stage=stage,
        before=before,
        hand_over=hand_over,
        seen=seen,
    )


def _input_recipe(
    recipe: Recipe, reading: Reading, layer: str | None, views: str | None, augment: str | None
) -> tuple[Recipe, Augmentation | None]:
    """What the network above the cut at `layer` is fed with; None for the whole, with what random versions have."""
    if views is not None and (layer is None or not parse_views(views)[1]):
        raise UsageError(
            f"{param('views', views)}: expected augment:K, and without {param('whole', True)}, which draws new "
            "ones in each epoch"
        )
    if layer is not None:
        ranges = recipe.augment if augment is None else augment
        return replace(recipe, layer=layer, pool="none", views=views or recipe.views, augment=ranges), None
    size = f"{reading.height}x{reading.width}"
    whole = replace(recipe.on_pixels(), size=size, views="one", augment=None, dtype="float32")
    if augment == "none":
        return whole, None
    if reading.name != "pillow":
        raise UsageError(
            f"{param('whole', True)}: the reading {reading.name} takes whole images only: give "
            f"{param('augment', 'none')}"
        )
    return whole, parse_augmentation(augment if augment is not None else recipe.augment or "")


def _compare(
    run: Run, before: dict[str, NDArray[np.float64]], start: dict[str, NDArray[np.float64]], stage: Stage
) -> HandOver:
    """Compare the network before its first step with the cached head. Raises RunError beyond rounding."""
    import numpy as np

    largest = max(float(np.abs(before[split] - start[split]).max()) for split in before)
    if not largest <= LARGEST_DIFFERENCE:
        raise RunError(
            f"{run.folder}: the network above the cut does not answer as its head does: probabilities differ by up to "
            f"{largest:.2g}, expected rounding; train the head again, with {param('dtype', 'float32')}"
        )
    head, network = (
        {split: float((p.argmax(axis=1) == stage.truth(split)).mean()) for split, p in found.items()}
        for found in (before, start)
    )
    return HandOver(largest_difference=largest, accuracy=HandOverAccuracy(head=head, network=network))
