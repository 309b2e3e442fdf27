"""The list of suspect labels where labels were flipped, beside cleanlab's on the same probabilities.

cleanlab is not needed by featstore: `pip install cleanlab==2.9.0` to see it beside.
"""

from __future__ import annotations

import importlib.util
import os
import time
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featstore.auditing.confident_learning import confident_joint, doubts, other_classes
from featstore.auditing.labels import SUSPECT, check_labels
from featstore.auditing.out_of_fold import OutOfFold, out_of_fold
from featstore.auditing.subject import Subject
from featstore.copies.groups import SamePictures
from featstore.extraction.recipe import Recipe
from featstore.training.fit import Prepared, prepare

SETS = ("cats_dogs", "flowers5", "mnist")
RATES = (0.0, 0.02, 0.05, 0.1)
BAR = 0.05  # the rate at which the lists are laid beside cleanlab's
SEEDS = (100, 101, 102)
MODES = (
    "prune_by_noise_rate",  # its default
    "prune_by_class",
    "both",
    "confident_learning",
    "predicted_neq_given",
    "low_normalized_margin",
    "low_self_confidence",
)


def measure_labels(data: Path, scratch: Path) -> None:
    """Print precision and recall of the lists, and the share of wrong labels beside the true one."""
    has_cleanlab = importlib.util.find_spec("cleanlab") is not None
    if not has_cleanlab:
        print("  without cleanlab, which is not installed: pip install cleanlab==2.9.0")
    for name in SETS:
        prepared = prepared_photos(data, name, scratch)
        for rate in RATES:
            _measure(name, prepared, rate, at_random=True, beside=has_cleanlab and rate == BAR)
        _measure(name, prepared, BAR, at_random=False, beside=False)


def prepared_photos(data: Path, name: str, scratch: Path) -> Prepared:
    """Return a data set with its features, from $FEATSTORE_CACHE if that is set."""
    weights = str(data / "weights" / "mobilenet_7_5_224_tf_no_top.h5")
    recipe = Recipe(model="MobileNet", alpha=0.75, weights=weights, size=224, pool="avg")
    return prepare(str(data / "images" / name), [recipe], cache=os.environ.get("FEATSTORE_CACHE") or scratch / "cache")


def as_subject(prepared: Prepared) -> Subject:
    """Return the data set as one without copies."""
    return Subject(prepared=prepared, sketches={}, copies=SamePictures((), 1.0))


def _measure(name: str, prepared: Prepared, rate: float, at_random: bool, beside: bool) -> None:
    figures: dict[str, list[float]] = defaultdict(list)
    lists: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for seed in SEEDS if rate else SEEDS[:1]:
        subject, is_wrong = _flipped(prepared, rate, seed, at_random)
        start = time.perf_counter()
        found = check_labels(subject)
        figures["seconds"].append(time.perf_counter() - start)
        for figure in ("accuracy", "wrong_share", "wrong_share_bound"):
            figures[figure].append(found.figures[figure])
        places = {picture.path: place for place, picture in enumerate(subject.labelled)}
        for title, kinds in (("suspect", {SUSPECT}), ("with the unclear", {f.kind for f in found.findings})):
            listed = [places[f.paths[0]] for f in found.findings if f.kind in kinds]
            lists[title].append(_scores(np.array(listed, np.intp), is_wrong))
        if beside:
            _lay_beside(subject, is_wrong, lists)
    kind = "flipped" if at_random else "flipped to the class that is nearest, most where it is near"
    print(
        f"  {name}, {100 * rate:g} % {kind}: accuracy {_mean(figures['accuracy']):.3f}, share "
        f"{', '.join(f'{100 * share:.1f}' for share in figures['wrong_share'])} % (at most "
        f"{', '.join(f'{100 * bound:.1f}' for bound in figures['wrong_share_bound'])} %), "
        f"{_mean(figures['seconds']):.1f} s"
    )
    for title, scores in lists.items():
        length, precision, recall = np.mean(scores, axis=0)
        print(f"    {title:42} {length:6.0f} listed, precision {precision:.2f}, recall {recall:.2f}", flush=True)


def _flipped(prepared: Prepared, rate: float, seed: int, at_random: bool) -> tuple[Subject, NDArray[np.bool_]]:
    """Return the data set with a share of its labels flipped, and which of the labelled images (n,) these are."""
    subject, random = as_subject(prepared), np.random.default_rng(seed)
    y, classes = subject.y, len(subject.manifest.classes)
    new = (y + random.integers(1, classes, len(y))) % classes
    weights = None
    if not at_random:
        probabilities = _out_of_fold(subject).probabilities
        new = other_classes(probabilities, y)
        odds = np.exp(doubts(probabilities, y))
        weights = odds / odds.sum()
    chosen = random.choice(len(y), round(rate * len(y)), replace=False, p=weights)
    labels = {subject.labelled[k].path: subject.manifest.classes[new[k]] for k in chosen}
    pictures = [p._replace(label=labels.get(p.path, p.label)) for p in prepared.manifest.pictures]
    changed = replace(prepared, manifest=prepared.manifest.with_pictures(pictures))
    return as_subject(changed), np.isin(np.arange(len(y)), chosen)


def _lay_beside(
    subject: Subject, is_wrong: NDArray[np.bool_], lists: dict[str, list[tuple[int, float, float]]]
) -> None:
    """Add each list of cleanlab, and as many images of ours."""
    from cleanlab.count import compute_confident_joint
    from cleanlab.filter import find_label_issues

    probabilities = _out_of_fold(subject).probabilities
    joint = compute_confident_joint(subject.y, probabilities, calibrate=False)
    assert np.array_equal(joint, confident_joint(probabilities, subject.y)), "another confident joint than cleanlab's"
    order = np.argsort(-doubts(probabilities, subject.y), kind="stable")
    for mode in MODES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = np.flatnonzero(find_label_issues(subject.y, probabilities, filter_by=mode, n_jobs=1))
        lists[f"cleanlab {mode}"].append(_scores(theirs, is_wrong))
        lists[f"  ours, as many as {mode}"].append(_scores(order[: len(theirs)], is_wrong))


def _out_of_fold(subject: Subject) -> OutOfFold:
    found = out_of_fold(subject.X, subject.y, len(subject.manifest.classes), subject.units, subject.seed)
    assert found is not None
    return found


def _scores(listed: NDArray[np.intp], is_wrong: NDArray[np.bool_]) -> tuple[int, float, float]:
    """Return the length of a list, its precision and its recall."""
    hits = int(is_wrong[listed].sum())
    return len(listed), hits / max(1, len(listed)), hits / max(1, int(is_wrong.sum()))


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
