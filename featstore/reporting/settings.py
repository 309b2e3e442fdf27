"""What a report does of its own: how long it searches, whether it audits, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from featstore.system.fields import Between, Seed, settle_fields


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """What is on the page of a report.

    Attributes:
        audit: Audit the data first: copies in several splits, wrong labels, and all else that spoils figures.
        images: Show thumbnails and heat maps; without them the page has the paths of images only, for private data.
        seed: Seed of all that is drawn.
    """

    audit: bool = True
    images: bool = True
    seed: Seed = 0

    def __post_init__(self) -> None:
        settle_fields(self)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a report finds the head that it is about.

    Attributes:
        trials: Most heads that are tried, each with parameters of its own.
        time: Seconds after which the search ends, but not before its first trial. None: no limit.
        val_fraction: Share taken for validation where there is no such split.
        test_fraction: Share taken for testing where there are no splits.
    """

    trials: Annotated[int, Between(1)] = 20
    time: float | None = None
    val_fraction: float = 0.2
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        settle_fields(self)
