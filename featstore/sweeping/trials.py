"""The trials of a sweep: which heads are tried with which parameters, in three rounds.

The first round has the paths and the defaults. The second draws from the whole space. The third draws near the best of
the rounds before. So a trial depends on the seed and on finished rounds, and not on which process was faster: the same
seed gives the same trials, with any number of processes, and after an interruption. Optuna's samplers were left out for
this: with several processes they choose by what happens to be finished.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, cycle, islice, product, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.sweeping.paths import path_of
from featstore.sweeping.space import SPACES, Space

if TYPE_CHECKING:
    import numpy as np

Fixed = Mapping[Any, Mapping[str, Any]]  # by head, the parameters that the user has set, which are not searched

_STEP = 0.12  # of a range: how far the third round goes from a good trial, as a standard deviation
_TRIES = 50  # draws for a trial, before the space counts as used up


class Trial(NamedTuple):
    """A head with parameters, on the features of one recipe.

    recipe: its number. parameters: those that are searched, in the order of their names.
    """

    recipe: int
    head: str
    parameters: tuple[tuple[str, Any], ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters by their names."""
        return dict(self.parameters)

    def describe(self) -> dict[str, Any]:
        """Return the trial as JSON has it."""
        return {"recipe": self.recipe, "head": self.head, "parameters": self.settings}


def free_ranges(head: str, fixed: Fixed) -> Mapping[str, Any]:
    """Return the ranges of the parameters of `head` that are drawn: none of a path, nor those that are fixed."""
    if path_of(head, fixed.get(head, {})):
        return {}
    ranges = SPACES.get(head, Space()).ranges
    return {name: some for name, some in ranges.items() if name not in fixed.get(head, {})}


def paths_and_defaults(places: Sequence[tuple[int, str]], fixed: Fixed) -> list[Trial]:
    """Return the trials of the first round: in turn one of each place, so that a few trials are of all heads."""
    columns = [[_trial(recipe, head, more) for more in _first(head, fixed)] for recipe, head in places]
    return [trial for trial in chain.from_iterable(zip_longest(*columns)) if trial is not None]


def _first(head: str, fixed: Fixed) -> list[dict[str, Any]]:
    path = path_of(head, fixed.get(head, {}))
    return [dict(zip(path, values, strict=True)) for values in product(*path.values())]  # of no path: one, the defaults


def from_everywhere(
    count: int, places: Sequence[tuple[int, str]], fixed: Fixed, known: Collection[Trial], random: np.random.Generator
) -> list[Trial]:
    """Return `count` new trials of the second round, of all heads alike; fewer if the space has no more."""

    def draw() -> Iterator[Trial]:
        for recipe, head in cycle([(recipe, head) for recipe, head in places if free_ranges(head, fixed)]):
            drawn = {name: some.at(random.random()) for name, some in free_ranges(head, fixed).items()}
            yield _trial(recipe, head, drawn)

    return _new(draw(), count, known)


def near_the_best(
    count: int, best: Sequence[Trial], fixed: Fixed, known: Collection[Trial], random: np.random.Generator
) -> list[Trial]:
    """Return `count` new trials of the third round, a step away from each of the `best` in turn; fewer if need be.

    best: trials whose heads have ranges.
    """

    def draw() -> Iterator[Trial]:
        for trial in cycle(best):
            near = {}
            for name, some in free_ranges(trial.head, fixed).items():
                value = trial.settings.get(name)
                place = some.place(value) if value is not None else random.random()
                near[name] = some.at(min(max(place + _STEP * random.standard_normal(), 0.0), 1.0))
            yield _trial(trial.recipe, trial.head, near)

    return _new(draw(), count, known)


def _trial(recipe: int, head: str, parameters: Mapping[str, Any]) -> Trial:
    return Trial(recipe, head, tuple(sorted(parameters.items())))


def _new(drawn: Iterator[Trial], count: int, known: Collection[Trial]) -> list[Trial]:
    """Return the first `count` trials that are not `known`, each once."""
    new: dict[Trial, None] = {}
    for trial in islice(drawn, _TRIES * count):
        if len(new) == count:
            break
        if trial not in known:
            new[trial] = None
    return list(new)
