"""The audit of a data set: complete its features, find what is one picture, and run all checks."""

from __future__ import annotations

from collections.abc import Callable

from featstore.audit.balance import check_balance
from featstore.audit.conflicts import check_conflicts
from featstore.audit.duplicates import check_duplicates
from featstore.audit.findings import Check
from featstore.audit.groups import check_groups
from featstore.audit.leaks import check_leaks
from featstore.audit.problems import check_problems
from featstore.audit.result import Audit
from featstore.audit.shortcuts import check_shortcuts
from featstore.audit.subject import Subject
from featstore.audit.unreadable import check_unreadable
from featstore.copies.job import find_copies
from featstore.datasets.manifest import Manifest
from featstore.datasets.sources import Source, as_manifest
from featstore.datasets.splits import complete_splits
from featstore.datasets.summary import summarize
from featstore.errors import DataError
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.system.paths import OnePath
from featstore.system.pinned import pinned
from featstore.system.progress import Progress
from featstore.training.fit import TEST_FRACTION, VAL_FRACTION, Prepared

# In the order of the report, where they are of the same weight.
CHECKS: tuple[Callable[[Subject], Check], ...] = (
    check_leaks,
    check_conflicts,
    check_groups,
    check_duplicates,
    check_shortcuts,
    check_unreadable,
    check_problems,
    check_balance,
)


@pinned()
def audit_data(
    data: OnePath | Manifest | Source,
    recipe: Recipe,
    *,
    val_fraction: float = VAL_FRACTION,
    test_fraction: float = TEST_FRACTION,
    seed: int = 0,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Audit:
    """Complete the features of `data` and audit it; see `featstore.audit`.

    Splits that it lacks are made as for training. What no head could be trained on is audited as it is: images without
    labels, or of one class.
    """
    tell_assumptions([recipe], progress)
    cache = Cache.at(cache)
    manifest = as_manifest(data)
    summarize(manifest).tell(progress)
    extraction = extract_features(manifest, [recipe], cache, progress)
    divided = _with_splits(extraction.manifest, val_fraction, test_fraction)
    prepared = Prepared(extraction.manifest, divided, extraction.features, extraction.plans, cache)
    return audit_prepared(prepared, seed=seed, progress=progress)


@pinned()
def audit_prepared(prepared: Prepared, *, seed: int = 0, progress: Progress | None = None) -> Audit:
    """Audit a data set whose features are in the cache."""
    sketches, copies = find_copies(prepared.manifest, prepared.plans, prepared.cache, progress)
    subject = Subject(prepared=prepared, sketches=sketches, copies=copies, seed=seed, progress=progress)
    return Audit.of(subject, [check(subject) for check in CHECKS])


def _with_splits(manifest: Manifest, val_fraction: float, test_fraction: float) -> Manifest:
    """Return the manifest with a split for each labelled image, or as it is where a head could not be trained."""
    try:
        return complete_splits(manifest, val_fraction, test_fraction)
    except DataError:
        return manifest
