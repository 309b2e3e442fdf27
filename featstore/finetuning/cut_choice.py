"""The choice of the cut, and the check that a run can be fine-tuned with it."""

from __future__ import annotations

from dataclasses import dataclass

from featstore.errors import UsageError, param
from featstore.finetuning.settings import FineTuneSettings
from featstore.heads.registry import check_network
from featstore.images.views import parse_views
from featstore.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class CutChoice:
    """Where a base is cut; everything above the cut is trained. At most one field is given.

    Attributes:
        blocks: Number of blocks above the cut. Default, if no field is given: 1.
        prefix: The trained part begins with the first layer whose name begins so.
        layer: The trained part begins with this layer.
        whole: Train the whole base.
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


def check_fine_tunable(
    run: Run, choice: CutChoice, views: str | None, augment: str | None, settings: FineTuneSettings
) -> None:
    """Raise UsageError for a run whose head or base cannot be fine-tuned so, and for options without effect."""
    recipe, reason = run.recipes[0], None
    if not run.fine_tuning:
        check_network(run.head)
    if run.fine_tuning:
        reason = (
            "is fine-tuned already, and a fine-tuned run cannot be trained further; give the run of its head, "
            f"{run.fine_tuning.head_run}, with more {param('epochs')}"
        )
    elif len(run.recipes) > 1:
        reason = "has several bases side by side; train a head on one of them"
    elif recipe.source().is_pixels:
        reason = "has no base to unfreeze: its head is trained on pixels"
    elif recipe.scales:
        reason = f"uses images at several sizes, but a cut has one size; train a head without {param('scales')}"
    elif run.average == "features" and parse_views(recipe.views)[0] != "one":
        reason = "averages features over views, which lie above the cut; train a head that averages probabilities"
    elif (choice.whole or views) and (parse_views(recipe.views)[0] != "one" or recipe.resize):
        reason = "uses crops, but augmented versions are of whole images; train a head on whole images"
    if reason:
        raise UsageError(f"{run.folder}: {reason}")
    _check_options(choice.whole, parse_views(views or recipe.views)[1] > 0, augment, settings)


def _check_options(whole: bool, augmented: bool, augment: str | None, settings: FineTuneSettings) -> None:
    """Raise UsageError for options that would have no effect."""
    if augment == "none" and not whole:
        raise UsageError(
            f"{param('augment', 'none')}: is for {param('whole', True)}; rows from the cache are not augmented "
            f"without {param('views', 'augment:K')}"
        )
    if augment is not None and not (whole or augmented):
        raise UsageError(
            f"{param('augment', augment)}: is for augmented views, as in {param('views', 'augment:4')}, and for "
            f"{param('whole', True)}"
        )
    if whole and augment != "none" and settings.memory is not None:
        raise UsageError(
            f"{param('memory')}: {param('whole', True)} reads its images again in each epoch and keeps none in "
            "memory; leave it out"
        )
