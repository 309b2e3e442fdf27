"""The explanation job: what a run answers to images, and which cells of each image speak for that answer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from featstore.datasets.labels import clean_label
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.options import DataOptions
from featstore.datasets.sources import DataLike, as_images, as_manifest
from featstore.errors import DataError, UsageError, param
from featstore.explanation.contrast import Contrast
from featstore.explanation.explained import Explained
from featstore.explanation.heat import Heat
from featstore.explanation.maps import Maps
from featstore.explanation.methods import choose_method, make_explainer
from featstore.explanation.result import Explanation, Method
from featstore.explanation.view import seen_parts, upright_cells
from featstore.extraction.cache import CacheLike
from featstore.objects.places import absolute, folder_of
from featstore.runs.predictor import Predictor
from featstore.runs.run import Run
from featstore.system.member_paths import unpacked_path
from featstore.system.paths import OneOrMorePaths
from featstore.system.pinned import pinned

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.system.progress import Progress


@pinned()
def explain_images(
    run: Run,
    images: DataLike | None,
    options: DataOptions | None = None,
    *,
    wrong: int | None = None,
    method: str | None = None,
    label: str | None = None,
    weights: OneOrMorePaths | None = None,
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Explained:
    """Explain the answers of `run` to images; see `featstore.explain`.

    The maps of the images go through the cache of the run, so that the base runs for images whose maps are new only.
    Raises UsageError for a method or a class that the run does not have, DataError if no answer is wrong, and otherwise
    as `predict_images`.
    """
    data = run.data if images is None and wrong is not None else images
    if data is None:
        raise UsageError(f"expected images to explain, or {param('wrong', 8)} for wrong answers in the data of the run")
    number = _number_of(label, run)
    predictor = Predictor.of(run, weights, cache, progress)
    maps = [Maps.of(plan) for plan in predictor.plans]
    chosen = choose_method(run, maps, method)
    explainer = make_explainer(chosen, predictor, maps)
    if wrong is None:
        asked = as_images(data, options, predictor.cache)
    else:
        asked = _wrong_answers(predictor, data, options, wrong)
    readable = explainer.complete(asked)  # maps first: the features that the head takes follow from them
    extraction = predictor.complete(readable)
    pictures = extraction.manifest.pictures
    probabilities = predictor.predict(pictures, extraction)
    contrast = Contrast.of(probabilities, number)
    heat = explainer.explain(pictures, contrast)
    return Explained(
        run=run,
        explanations=tuple(_explanations(run, pictures, probabilities, contrast, heat, chosen)),
        method=chosen,
        right=tuple(_right_label(picture, run.classes) for picture in pictures),
        skipped=extraction.manifest.skipped,
        notes=tuple(_notes(run)),
    )


def _number_of(label: str | None, run: Run) -> int | None:
    """Return the number of the class `label`; None stands for the answer to each image."""
    if label is None:
        return None
    if label not in run.classes:
        raise UsageError(f"{param('label', label)}: expected a class of the run: {', '.join(run.classes)}")
    return run.classes.index(label)


def _wrong_answers(predictor: Predictor, data: DataLike, options: DataOptions | None, most: int) -> Manifest:
    """Return the images with the wrong answers of most confidence in labelled `data`; raises DataError for none."""
    from featstore.runs.evaluation import evaluate_run

    some = predictor
    manifest = as_manifest(data, options, some.cache)
    found = evaluate_run(some.run, manifest, weights=some.weights, cache=some.cache, progress=some.progress)
    wrong = [answer.path for answer in found.answers.wrong()[:most]]
    if not wrong:
        what = "no answer is wrong" if found.metrics else "no image has a label, so no answer is known to be wrong"
        raise DataError(f"{manifest.source}: {what}; leave {param('wrong')} out to explain images")
    by_path = {picture.path: picture for picture in manifest.pictures}
    return manifest.with_pictures([by_path[path] for path in wrong])


def _right_label(picture: Picture, classes: Sequence[str]) -> str | None:
    """Return the label of a picture, else the name of its folder if that is a class."""
    if picture.label is not None:
        return picture.label
    folder = clean_label(os.path.basename(folder_of(absolute(unpacked_path(picture.path)))))
    return folder if folder in classes else None


def _explanations(
    run: Run,
    pictures: Sequence[Picture],
    probabilities: NDArray[np.float64],
    contrast: Contrast,
    heat: Heat,
    method: Method,
) -> list[Explanation]:
    import numpy as np

    parts = seen_parts(pictures, run.specs[0].reading)
    cells = upright_cells(pictures, run.specs[0].reading, heat.cells.astype(np.float32))
    best = probabilities.argmax(axis=1)
    return [
        Explanation(
            path=picture.path,
            label=run.classes[contrast.labels[place]],
            probability=float(probabilities[place, contrast.labels[place]]),
            answer=run.classes[best[place]],
            method=method,
            heat=cells[place],
            view=parts[place],
            against=run.classes[contrast.rivals[place]],
            score=float(heat.score[place]),
            offset=None if heat.offset is None else float(heat.offset[place]),
        )
        for place, picture in enumerate(pictures)
    ]


def _notes(run: Run) -> list[str]:
    """Return what is worth knowing of the views that are explained."""
    if not any(recipe.has_several_views for recipe in run.recipes):
        return []
    return ["the plain view is explained; the probabilities are those of all views of the image"]
