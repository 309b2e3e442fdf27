"""A head recipe: the head, its parameters, and the use of several views of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from featstore.errors import UsageError, param
from featstore.evaluation.averaging import Average
from featstore.heads.parameters import parse_parameters
from featstore.heads.registry import HEADS, OWN_HEAD, HeadName, entry_of, parameters_of
from featstore.system.fields import Alias, Between, Seed, settle_fields

if TYPE_CHECKING:
    from featstore.extraction.recipe import Recipe

TrainOn = Literal["plain", "all"]


@dataclass(frozen=True, kw_only=True)
class HeadRecipe:
    """How a head is trained, and how it predicts.

    Attributes:
        head: Classifier on the features, as `featstore heads` lists them, or module:Class for any estimator of
            scikit-learn or of your own.
        parameters: Parameters of the head by their names, where they differ from its defaults.
        train_on: With several views: plain trains on one of them, all on each as an image of its own. Default: plain.
        average: With several views: what is averaged over them. Default: probabilities.
        calibrate: Let the validation split choose a temperature, so that probabilities are as sure as they should be.
        seed: Seed of the head, and of random weights.
        memory: Largest size of the features in memory, in bytes, or as in 512M on the command line; more are read from
            the cache block by block, by a head that can. Default: half of the machine's memory.
    """

    head: Annotated[HeadName, Alias("logistic-regression", "logistic"), OWN_HEAD] = "logistic"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    train_on: TrainOn | None = None
    average: Average | None = None
    calibrate: bool = True
    seed: Seed = 0
    memory: Annotated[int, Between(1)] | None = None

    def __post_init__(self) -> None:
        settle_fields(self)
        parameters = parse_parameters(parameters_of(self.head), self.head, self.parameters)
        object.__setattr__(self, "parameters", parameters)

    def for_one_view(self) -> HeadRecipe:
        """Return the recipe without what is said of several views."""
        return replace(self, train_on=None, average=None)

    def check(self, recipes: Sequence[Recipe]) -> None:
        """Raise UsageError for options that have no effect on the head, or on the features of `recipes`."""
        if self.memory is not None and not entry_of(self.head).streams:
            streaming = ", ".join(name for name, entry in HEADS.items() if entry.streams)
            raise UsageError(
                f"{param('memory', self.memory)}: head {self.head} needs all features in memory; use one of {streaming}"
            )
        if any(recipe.has_several_views for recipe in recipes):
            return
        for name, value in (("train_on", self.train_on), ("average", self.average)):
            if value is not None:
                raise UsageError(
                    f"{param(name, value)}: each image has one view only; ask for more with {param('views', 'ten')}"
                )
