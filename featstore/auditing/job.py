"""The audit of a data set: complete its features, find what is one picture, and run all checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from featstore.auditing.balance import check_balance
from featstore.auditing.conflicts import check_conflicts
from featstore.auditing.duplicates import check_duplicates
from featstore.auditing.findings import Check
from featstore.auditing.groups import check_groups
from featstore.auditing.labels import check_labels
from featstore.auditing.leaks import check_leaks
from featstore.auditing.outliers import check_outliers
from featstore.auditing.problems import check_problems
from featstore.auditing.result import Audit
from featstore.auditing.shortcuts import check_shortcuts
from featstore.auditing.subject import Subject
from featstore.auditing.unreadable import check_unreadable
from featstore.copies.job import find_copies
from featstore.copies.proof import prove_rule
from featstore.datasets.manifest import Manifest
from featstore.datasets.sources import Source, as_manifest
from featstore.datasets.splits import check_splittable, complete_splits
from featstore.datasets.summary import summarize
from featstore.errors import DataError, UsageError
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.system.paths import OnePath
from featstore.system.pinned import pinned
from featstore.system.progress import Progress
from featstore.training.fit import TEST_FRACTION, VAL_FRACTION, Prepared, refuse_idle_fractions

# In the order of the report, where they are of the same weight.
CHECKS: tuple[Callable[[Subject], Check], ...] = (
    check_leaks,
    check_conflicts,
    check_labels,
    check_shortcuts,
    check_groups,
    check_duplicates,
    check_unreadable,
    check_problems,
    check_outliers,
    check_balance,
)


@pinned()
def audit_data(
    data: OnePath | Manifest | Source,
    recipe: Recipe,
    *,
    val_fraction: float = VAL_FRACTION,
    test_fraction: float = TEST_FRACTION,
    val_as_test: bool = False,
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
    fractions = val_fraction, test_fraction, val_as_test
    if _is_splittable(manifest, *fractions):
        refuse_idle_fractions(manifest, None if val_as_test else val_fraction, test_fraction, in_folds=False)
    summarize(manifest).tell(progress)
    extraction = extract_features(manifest, [recipe], cache, progress)
    divided = extraction.manifest
    if _is_splittable(divided, *fractions):
        divided = complete_splits(divided, *fractions)
    prepared = Prepared(extraction.manifest, divided, extraction.features, extraction.plans, cache)
    return audit_prepared(prepared, seed=seed, progress=progress)


@pinned()
def audit_prepared(prepared: Prepared, *, seed: int = 0, progress: Progress | None = None) -> Audit:
    """Audit a data set whose features are in the cache."""
    where = prepared.manifest, prepared.plans, prepared.cache
    sketches, copies = find_copies(*where, progress)
    proof = prove_rule(*where, sketches, copies, seed)
    if proof.threshold != copies.threshold:
        sketches, copies = find_copies(*where, progress, proof.threshold)
    if progress and proof.images:
        progress.tell(proof.sentence(copies.threshold))
    subject = Subject(prepared=prepared, sketches=sketches, copies=copies, seed=seed, progress=progress)
    on_step = progress.steps("auditing", "checks") if progress else None
    checks = []
    for number, check in enumerate(CHECKS, 1):
        checks.append(check(subject))
        if on_step:
            on_step(number, len(CHECKS))
    return Audit.of(subject, checks, proof)


def one_recipe(recipes: Sequence[Recipe]) -> Recipe:
    """Return the only one of `recipes`; raises UsageError if there are several, since an audit rests on one."""
    if len(recipes) > 1:
        raise UsageError(f"{len(recipes)} sets of features, but an audit rests on one: give one value of each option")
    return recipes[0]


def _is_splittable(manifest: Manifest, val_fraction: float, test_fraction: float, val_as_test: bool) -> bool:
    """Return whether a head could be trained on splits of `manifest`; raises UsageError for the fractions alone."""
    try:
        check_splittable(manifest, val_fraction, test_fraction, val_as_test)
    except DataError:
        return False
    return True
