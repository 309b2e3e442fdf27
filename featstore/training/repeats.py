"""One head trained and measured several times: in each fold of a cross-validation, and with each of several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import Picture
from featstore.datasets.splits import fold_splits
from featstore.extraction.pipeline import extract_augmented
from featstore.extraction.plan import Plan
from featstore.heads.interface import Curve
from featstore.system.progress import OnStep, Progress
from featstore.training.fit import Prepared, fit_head, remark_on_training
from featstore.training.head_recipe import HeadRecipe

if TYPE_CHECKING:
    from featstore.evaluation.remarks import Remark
    from featstore.evaluation.repeats import FoldEstimate, Repeats

Divisions = Sequence[Sequence[Prepared]]  # the data set with the splits of each fold, for each seed


class RepeatedFit(NamedTuple):
    """What the heads of all seeds and folds were measured to be.

    repeats: which of the `pictures` (n,) were right. log_loss, brier: mean over images and seeds. macro_f1: mean over
    seeds of that of all images. seconds: of all fits.
    curve, on_training: those of the first fit.
    """

    repeats: Repeats
    pictures: list[Picture]
    log_loss: float
    brier: float
    macro_f1: float
    seconds: float
    curve: Curve
    on_training: Remark | None


def divide(
    prepared: Prepared, folds: int | None, seed: int, seeds: int, val_fraction: float, progress: Progress | None
) -> Divisions:
    """Return the data set in `folds`, or as it is if this is None, once for each of `seeds` from `seed` on.

    Each seed divides the images in another way: an average over several depends less on the luck of one division.
    Completes the augmented versions of what is trained on. Raises DataError if a class is too small.
    """
    if folds is None:
        return [[prepared]] * seeds
    divisions = [fold_splits(prepared.given, folds, val_fraction, seed + number) for number in range(seeds)]
    # every image is in the training split of some fold
    everything = prepared.given.with_pictures([p._replace(split="train") for p in divisions[0][0].pictures])
    extract_augmented(everything, prepared.plans, prepared.cache, progress)
    return [[replace(prepared, manifest=fold) for fold in of_seed] for of_seed in divisions]


def cross_validate(
    prepared: Prepared,
    head: HeadRecipe,
    folds: int,
    seeds: int = 1,
    val_fraction: float = 0.2,
    progress: Progress | None = None,
) -> FoldEstimate:
    """Return how accurate heads like `head` are by cross-validation over all images but a given test split.

    The features of all plans are put side by side, as for a run. Raises DataError if a class is too small.
    """
    from featstore.evaluation.repeats import estimate
    from featstore.features.arrays import units_of

    divisions = divide(prepared, folds, head.seed, seeds, val_fraction, progress)
    on_step = progress.steps("cross-validating", "heads") if progress else None
    fitted = fit_repeatedly(divisions, prepared.plans, head, "test", on_step)
    return estimate(fitted.repeats, fitted.log_loss, units_of(fitted.pictures), fitted.seconds)


def fit_repeatedly(
    divisions: Divisions, plans: Sequence[Plan], head: HeadRecipe, split: str, on_step: OnStep | None = None
) -> RepeatedFit:
    """Train `head` in each fold of each of the `divisions`, and measure it on the images of `split` there.

    The first division is trained with the seed of `head`, the next one with the seed after it, and so on.
    """
    import numpy as np

    from featstore.evaluation.answer_scores import macro_f1
    from featstore.evaluation.probability_scores import log_losses, squared_distances
    from featstore.evaluation.repeats import Repeats
    from featstore.heads.registry import make_head

    pictures = divisions[0][0].manifest.pictures  # in the same order in all folds
    classes = divisions[0][0].manifest.classes
    right = np.full((len(divisions), len(pictures)), np.nan)
    fold_of, answers = np.zeros(right.shape, np.intp), np.zeros(right.shape, np.intp)
    truth_of = np.zeros(len(pictures), np.intp)
    losses, squares, seconds, done = [], [], 0.0, 0
    curves: list[Curve] = []
    remarks: list[Remark | None] = []
    for row, folds in enumerate(divisions):
        for number, fold in enumerate(folds):
            estimator = make_head(head.head, head.parameters)
            recipe = replace(head, seed=head.seed + row)
            fitted = fit_head(fold, plans, recipe, estimator, predict_on=(split,))
            places = [i for i, p in enumerate(fold.manifest.pictures) if p.split == split and p.label is not None]
            truth = np.array([classes.index(p.class_name) for p in fitted.pictures[split]])
            answers[row, places], truth_of[places] = fitted.probabilities[split].argmax(axis=1), truth
            right[row, places] = answers[row, places] == truth
            fold_of[row, places] = number
            losses.append(log_losses(fitted.probabilities[split], truth))
            squares.append(squared_distances(fitted.probabilities[split], truth))
            seconds += fitted.seconds
            curves.append(estimator.curve)
            remarks.append(remark_on_training(estimator))
            done += 1
            if on_step:
                on_step(done, len(divisions) * len(folds))
    measured = np.flatnonzero(~np.isnan(right[0]))
    return RepeatedFit(
        Repeats(right[:, measured], fold_of[:, measured]),
        [pictures[place] for place in measured],
        float(np.concatenate(losses).mean()),
        float(np.concatenate(squares).mean()),
        float(np.mean([macro_f1(given, truth_of[measured]).value for given in answers[:, measured]])),
        seconds,
        curves[0],
        remarks[0],
    )
