"""The search of a learning rate: a range test of a Keras head on cached features, and the rate that it suggests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.datasets.manifest import Manifest, Skipped
from featstore.datasets.sources import Source
from featstore.datasets.summary import DataSummary, summarize
from featstore.errors import UsageError, param
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import CacheLike
from featstore.extraction.recipe import Recipe
from featstore.heads.keras_parameters import KerasParameters
from featstore.heads.registry import HEADS, make_head
from featstore.plots.files import kind_of
from featstore.system.files import write_whole
from featstore.system.paths import OnePath, one_path
from featstore.system.pinned import pinned
from featstore.system.text import Shown, count
from featstore.training.fit import TEST_FRACTION, VAL_FRACTION, HeadFit, prepare
from featstore.training.head_recipe import HeadRecipe
from featstore.training.rows import tell_of_memory

if TYPE_CHECKING:
    from featstore.heads.rate_range import RateRange
    from featstore.system.notebook import Picture
    from featstore.system.progress import Progress

_WITHOUT_EFFECT = ("rate", "schedule", "epochs", "patience", "monitor")  # on a range test


@dataclass(frozen=True, kw_only=True, repr=False)
class FoundRate(Shown):
    """The learning rate that a range test suggests.

    Attributes:
        head: Name of the head.
        rate: The suggested rate; None if the loss did not fall at any.
        default: The rate of the head where none is given.
        test: The rates and losses of the test.
        title: What was trained on what, as text.
        data: What the data set holds, with notes.
        skipped: Files that could not be read.
    """

    head: str
    rate: float | None
    default: float
    test: RateRange
    title: str
    data: DataSummary
    skipped: tuple[Skipped, ...]

    def parts(self) -> Iterator[str]:
        """Yield the suggestion, and what it comes from."""
        steps = count(len(self.test.rates), "step")
        end = "where the loss diverged" if self.test.diverged else "without diverging"
        if self.rate is None:
            yield f"no rate is suggested: the loss of {self.head} did not fall at any rate"
        else:
            yield f"{self.head}: rate {self.rate:.2g} is suggested, where the loss has fallen half of its way"
        rates = f"rate {self.test.rates[0]:.2g} to {self.test.rates[-1]:.2g}"
        yield f"{steps}, {rates}, {end}; the default is {self.default:g}"

    def plots(self) -> Iterator[Picture]:
        """Yield the losses over the rates."""
        from featstore.plots.notebook import on_screen

        yield on_screen(self.draw(), "Loss over the learning rate")

    def describe(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        test = {name: list(value) for name, value in self.test._asdict().items() if name != "diverged"}
        return {
            "head": self.head,
            "rate": self.rate,
            "default": self.default,
            "diverged": self.test.diverged,
            **test,
            "data": self.data.describe(),
            "skipped": [item._asdict() for item in self.skipped],
        }

    def save_plot(self, path: OnePath) -> None:
        """Save the losses over the rates as a .png; raises UsageError for another ending."""
        kind_of(one_path(path, "path"), "path", ("png",))
        write_whole(Path(one_path(path, "path")), self.draw())

    def draw(self) -> bytes:
        """Return the plot that `save_plot` saves."""
        from featstore.plots.rate_range import draw_rate_range

        return draw_rate_range(self.test, self.rate, self.title)


@pinned()
def find_rate(
    data: OnePath | Manifest | Source,
    recipes: Sequence[Recipe],
    head: HeadRecipe,
    *,
    val_fraction: float = VAL_FRACTION,
    test_fraction: float = TEST_FRACTION,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> FoundRate:
    """Run a range test of `head` on the training split of `data`; see `featstore.find_lr`."""
    from featstore.heads.keras_head import KerasHead
    from featstore.heads.rate_range import run_range_test, suggest_rate

    check_has_rate(head)
    head.check(recipes)
    recipes = [HEADS[head.head].with_preferred_pool(recipe) for recipe in recipes]
    tell_assumptions(recipes, progress)
    prepared = prepare(data, recipes, val_fraction, test_fraction, cache, progress)
    summary = summarize(prepared.manifest)
    tell_of_memory(prepared.manifest, prepared.plans, head, prepared.cache, progress)
    estimator = make_head(head.head, head.parameters)
    assert isinstance(estimator, KerasHead)
    X, y = HeadFit(prepared, prepared.plans, head, estimator).rows
    found = run_range_test(estimator, X, y, head.seed, progress.steps("range test", "steps") if progress else None)
    return FoundRate(
        head=head.head,
        rate=suggest_rate(found),
        default=estimator.rate,
        test=found,
        title=f"{head.head} on {Path(prepared.manifest.source).name}: loss while the rate grows",
        data=summary,
        skipped=prepared.manifest.skipped,
    )


def check_has_rate(head: HeadRecipe) -> None:
    """Raise UsageError for a head that has no learning rate, and for parameters that a range test does not use."""
    in_steps = [name for name, entry in HEADS.items() if issubclass(entry.parameters, KerasParameters)]
    if head.head not in in_steps:
        raise UsageError(f"head {head.head}: has no learning rate that can be found; use one of {', '.join(in_steps)}")
    idle = [name for name in _WITHOUT_EFFECT if name in head.parameters]
    if idle:
        raise UsageError(f"{param(idle[0], head.parameters[idle[0]])}: has no effect on a range test; leave it out")
