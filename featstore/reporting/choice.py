"""Which images a page shows: those to look at, and of a large data set a sample."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import Picture

if TYPE_CHECKING:
    from featstore.auditing.result import Audit
    from featstore.runs.image_answers import ImageAnswers

MOST = 3_000  # images on a page: their thumbnails are about 2 MB
_WRONG, _UNSURE = 48, 24
_FINDINGS, _PARTNERS = 12, 6  # of each check of an audit that are shown large, and the images of each


class Galleries(NamedTuple):
    """Places of images to look at, in the order of the answers.

    Attributes:
        wrong: Wrong answers to images that were held out, the most confident first.
        unsure: Images that were held out, or have no label, whose answers are least sure; wrong ones are above.
        found: Images that the audit found, the worst of each check.
        suspects: Those of them whose label is suspect.
    """

    wrong: list[int]
    unsure: list[int]
    found: list[int]
    suspects: list[int]

    @property
    def explained(self) -> list[int]:
        """Those that get a heat map."""
        return list(dict.fromkeys([*self.wrong, *self.unsure, *self.suspects]))

    @property
    def listed(self) -> list[int]:
        """All of them."""
        return list(dict.fromkeys([*self.explained, *self.found]))


def choose_galleries(answers: ImageAnswers, audit: Audit | None) -> Galleries:
    """Return the images to look at."""
    rows, best = answers.probabilities, answers.probabilities.argmax(axis=1)
    sure = rows.max(axis=1)
    right = [
        None if label is None else answers.classes[b] == label for label, b in zip(answers.labels, best, strict=True)
    ]
    held_out = [place for place, split in enumerate(answers.splits) if split != "train"]
    wrong = sorted((p for p in held_out if right[p] is False), key=lambda p: (-sure[p], answers.paths[p]))
    unsure = sorted((p for p in held_out if right[p] is not False), key=lambda p: (sure[p], answers.paths[p]))
    place_of = {path: place for place, path in enumerate(answers.paths)}
    found: list[int] = []
    suspects: list[int] = []
    for check in audit.checks if audit else ():
        for finding in check.findings[:_FINDINGS]:
            places = [place_of[path] for path in finding.paths[:_PARTNERS] if path in place_of]
            found += places
            suspects += places[:1] if check.name == "labels" else []
    return Galleries(wrong[:_WRONG], unsure[:_UNSURE], found, suspects)


def choose_sample(pictures: Sequence[Picture], wanted: Collection[int], most: int) -> list[int]:
    """Return the places of at most `most` images: all that are `wanted`, and of each class and split alike of the rest.

    The rest is chosen by content digests, so neither names nor the order of the images matter.
    """
    if len(pictures) <= most:
        return list(range(len(pictures)))
    strata: dict[tuple[str | None, str | None], list[int]] = defaultdict(list)
    for place in sorted(range(len(pictures)), key=lambda place: pictures[place].digest):
        strata[pictures[place].label, pictures[place].split].append(place)
    # The k-th image of a class of n stands at k / n of it. So the first ones of all have equal shares of each class.
    standing = {place: (rank + 0.5) / len(some) for some in strata.values() for rank, place in enumerate(some)}
    others = sorted((place for place in standing if place not in wanted), key=lambda place: (standing[place], place))
    return sorted([*wanted, *islice(others, max(0, most - len(wanted)))])
