"""The content of a report, composed of results: images with answers and places, heat maps, summary and commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from featstore.datasets.manifest import Picture
from featstore.datasets.summary import summarize
from featstore.errors import FeatstoreError, RunError, UsageError
from featstore.objects.places import below, tops_of
from featstore.reporting.choice import MOST, choose_galleries, choose_sample
from featstore.reporting.content import Content, ReportImage
from featstore.reporting.measuring import Measured
from featstore.reporting.settings import PageSettings
from featstore.reporting.summary import summarize_report
from featstore.reporting.thumbnails import Thumbnails, make_thumbnails
from featstore.runs.evaluation import NEW
from featstore.runs.files import load_curve
from featstore.runs.run import Run
from featstore.system.environment import utc_now, versions
from featstore.system.paths import OneOrMorePaths
from featstore.system.text import count

if TYPE_CHECKING:
    from featstore.auditing.result import Audit
    from featstore.comparison.learning_result import LearningCurve
    from featstore.explanation.result import Explanation
    from featstore.runs.side_by_side import RunComparison
    from featstore.sweeping.result import Sweep
    from featstore.system.progress import Progress

PROMISE = 0.9  # of the sets of classes: the right one is among them for nine images of ten, or more


class Results(NamedTuple):
    """What was found, before it is put on a page; each but the first may be left out.

    Attributes:
        best: The run that the page is about.
        others: Further runs, the best first.
        trained_on: What a run that was there before was trained on, as in `Measured`.
        notes: What is left out, and why.
    """

    best: Measured
    others: tuple[Run, ...] = ()
    audit: Audit | None = None
    sweep: Sweep | None = None
    comparison: RunComparison | None = None
    learning: LearningCurve | None = None
    trained_on: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def compose(
    results: Results,
    page: PageSettings,
    *,
    weights: OneOrMorePaths | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> tuple[Content, Thumbnails | None]:
    """Return the content of the page and its pictures."""
    best, runs = results.best, (results.best.run, *results.others)
    pictures, notes = best.extraction.manifest.pictures, list(results.notes)
    paths = _relative_paths(pictures, best.extraction.manifest.source)
    galleries = choose_galleries(best.answers, results.audit)
    sample = choose_sample(pictures, galleries.listed, MOST)
    if len(sample) < len(pictures):
        notes.append(
            f"the page shows {len(sample):,} of {count(len(pictures), 'image')}: those to look at, and of the rest the "
            "same share of each class and split; all figures are of all images"
        )
    images = _images(best, sample, paths, page.seed, progress)
    explanations: dict[str, Explanation] = {}
    thumbnails: Thumbnails | None = None
    if page.images:
        explained = {pictures[place].path: paths[place] for place in galleries.explained}
        explanations, problem = _explain(best, explained, weights, progress)
        notes += [problem] if problem else []
        listed = [paths[place] for place in galleries.listed]
        thumbnails = make_thumbnails({paths[p]: pictures[p] for p in sample}, listed, explanations, progress)
        notes += _on_unreadable(thumbnails.unreadable)
    data = summarize(best.manifest)
    content = Content(
        title=Path(best.extraction.manifest.source).name or best.extraction.manifest.source,
        created=utc_now(),
        command=command,
        summary=summarize_report(
            run=best.run,
            leaks=results.trained_on if results.audit else (*results.trained_on, *data.leaks),
            audit=results.audit,
            sweep=results.sweep,
            comparison=results.comparison,
            learning=results.learning,
        ),
        data=data,
        audit=results.audit,
        runs=runs,
        curves={run.folder.name: curve for run in runs if (curve := load_curve(run)).x},
        comparison=results.comparison,
        sweep=results.sweep,
        learning=results.learning,
        images=images,
        total=len(pictures),
        explanations=explanations,
        versions=versions(),
        with_images=page.images,
        promise=PROMISE if _threshold(best.run) is not None else None,
        wrong=tuple(paths[place] for place in galleries.wrong),
        unsure=tuple(paths[place] for place in galleries.unsure),
        commands=_commands(best.run),
        notes=tuple(notes),
    )
    return content, thumbnails


def _relative_paths(pictures: Sequence[Picture], source: str) -> list[str]:
    """Return the paths of the images as the page shows them: relative to the data set where they are inside."""
    tops = tops_of(source)
    return [below(picture.path, *tops) for picture in pictures]


def _images(
    measured: Measured, sample: Sequence[int], paths: Sequence[str], seed: int, progress: Progress | None
) -> tuple[ReportImage, ...]:
    """Return the images of the page, with their answers and their places on the map."""
    from featstore.reporting.projection import project
    from featstore.runs.answers import answers_of

    on_step = progress.steps("map of all images", "maps") if progress else None
    if on_step:
        on_step(0, 1)
    places = project(measured.features(list(sample)), seed).tolist()
    if on_step:
        on_step(1, 1)
    some, threshold = measured.answers.of(sample), _threshold(measured.run)
    # without a promise, each answer is one class
    sets = answers_of(some.probabilities, 0.0 if threshold is None else threshold, some.classes)
    images = []
    for number, place in enumerate(sample):
        one = some[number]
        images.append(
            ReportImage(
                path=paths[place],
                file=one.path,
                label=one.label,
                split=None if one.split == NEW and one.label is None else one.split,
                answer=one.answer,
                probability=one.probability,
                of_label=one.probability_of_label,
                place=(places[number][0], places[number][1]),
                answers=sets[number],
            )
        )
    return tuple(images)


def _threshold(run: Run) -> float | None:
    """Return the score that a class in a set may have; None where too few images were held out for a promise."""
    from featstore.runs.answers import threshold_for

    try:
        return threshold_for(run, PROMISE)
    except (RunError, UsageError):
        return None


def _explain(
    measured: Measured, wanted: Mapping[str, str], weights: OneOrMorePaths | None, progress: Progress | None
) -> tuple[dict[str, Explanation], str | None]:
    """Return the heat maps of some images by the paths of the page, or none and why; `wanted`: these paths by file."""
    from featstore.explanation.job import explain_images

    if not wanted:
        return {}, None
    try:
        found = explain_images(measured.run, list(wanted), weights=weights, cache=measured.cache, progress=progress)
    except FeatstoreError as error:
        return {}, f"no heat maps: {error}"
    return {wanted[one.path]: one for one in found.explanations}, None


def _on_unreadable(unreadable: Mapping[str, str]) -> list[str]:
    """Return a line if images have no thumbnail."""
    if not unreadable:
        return []
    path, reason = next(iter(unreadable.items()))
    return [f"{count(len(unreadable), 'image')} without a thumbnail, such as {path}: {reason}"]


def _commands(run: Run) -> tuple[tuple[str, str], ...]:
    """Return what to type next; words in capitals stand for paths of the reader's."""
    folder, data = shlex.quote(str(run.folder)), shlex.quote(run.data)
    return (
        ("answer new photos", f"featstore predict {folder} PHOTOS"),
        ("measure it again", f"featstore evaluate {folder} {data}"),
        ("see where in a photo the evidence is", f"featstore explain {folder} PHOTOS"),
    )
