"""The verdict of a check without labels: a table of situations, each with what must be said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from featstore.base_check.class_index import ClassIndex
from featstore.base_check.unlabelled_verdict import Evidence, judge_statistics
from featstore.base_check.variants import Variants

N = 64
RNG = np.random.default_rng(0)
DIFFERENT = np.abs(RNG.normal(size=(N, 30)))  # features of different things
SAME = 1 + RNG.random((N, 30)) * 0.01  # of a network that sees the same in all images
SURE = np.eye(40)[RNG.integers(0, 40, N)] * 0.9 + 0.0025  # predictions
NEMATODE = np.tile(np.eye(40)[11] * 0.9 + 0.0025, (N, 1))
NAMES = ClassIndex(tuple("nematode" if n == 11 else f"animal {n}" for n in range(40)))
PHOTOS = {"keras": 0.002, "torch": 0.4, "rescale": 0.5, "raw": 4655.0}


class Situation(NamedTuple):
    mismatches: Mapping[str, float]
    finding: str
    says: str
    best: str | None = None
    asked: tuple[str, ...] = ()
    own: str | None = "keras"
    outputs: Mapping[str, NDArray[np.float64]] = {}
    options: Mapping[str, Any] = {}


SITUATIONS = {
    "right": Situation(
        PHOTOS, "right", "`keras` (for this base `tf`) looks right, judged by batch statistics", "keras"
    ),
    "raw alone": Situation(
        {"keras": 0.002, "raw": 4655.0},
        "right",
        "`raw` does not look right (mismatch 4655). `keras` (for this base `tf`), measured for comparison, looks right",
        "keras",
        ("raw",),
    ),
    "1/255 alone": Situation(
        {"keras": 0.002, "rescale": 0.5},
        "right",
        "`rescale` does not look right (mismatch 0.50)",
        "keras",
        ("rescale",),
    ),
    "1/255 alone on digits": Situation(
        {"keras": 0.47, "rescale": 0.33},
        "not distinguished",
        "`rescale` is not what this base was trained with. `keras` (for this base `tf`), measured for comparison, fits",
        "keras",
        ("rescale",),
    ),
    "greyscale": Situation(
        {"keras": 0.002, "caffe": 1108.0, "rgb-mean": 935.0, "torch": 0.686}, "right", "looks right", "keras"
    ),
    "channels swapped": Situation(
        {"keras": 0.002, "order=bgr,scale=1/127.5,mean=1": 0.002, "raw": 4655.0},
        "not distinguished",
        "`order=bgr,scale=1/127.5,mean=1` fits these images about as well",
        "keras",
    ),
    "another": Situation(
        {"keras": 0.3, "rescale": 0.01},
        "another is better",
        "`rescale` fits these images better than `keras`",
        "rescale",
    ),
    "shuffled weights": Situation(
        {"keras": 1.5, "torch": 5.5}, "nothing fits", "the nearest is `keras` (mismatch 1.50)"
    ),
    "shuffled weights that fit by chance": Situation(
        {"keras": 0.3, "raw": 5000.0},
        "weights do not fit",
        "it sees nearly the same in all images",
        outputs={"keras": SAME, "raw": SAME},
    ),
    "random weights": Situation(
        {}, "weights do not fit", "the weights are random or were never trained", options={"is_untrained": True}
    ),
    "all are called one thing": Situation(
        {"keras": 0.002, "raw": 4000.0},
        "right",
        "With `raw`, it predicts nematode for all images",
        "keras",
        outputs={"keras": SURE, "raw": NEMATODE},
        options={"are_predictions": True},
    ),
    "no normalization": Situation(
        {},
        "not distinguished",
        "`keras` (for this base `tf`) is not contradicted, judged by features, which find a wrong scale only",
        "keras",
        outputs={"keras": DIFFERENT, "raw": DIFFERENT[::-1]},
    ),
    "no normalization, raw alone": Situation(
        {},
        "not distinguished",
        "`raw` is not what this base was trained with. `keras`",
        "keras",
        ("raw",),
        outputs={"keras": DIFFERENT, "raw": DIFFERENT[::-1]},
    ),
    "no normalization, random": Situation(
        {}, "weights do not fit", "it sees nearly the same", outputs={"keras": SAME, "raw": SAME}
    ),
    "own file": Situation(
        {"tf": 0.01, "rescale": 0.5, "raw": 4000.0},
        "best of those tried",
        "`rescale` does not look right (mismatch 0.50). `tf` fits best of the 3 tried, judged by batch statistics",
        "tf",
        ("rescale",),
        own=None,
        outputs={"rescale": DIFFERENT},
    ),
    "own file without normalization, one variant": Situation(
        {},
        "best of those tried",
        "nothing speaks against `raw`, the only one tried",
        "raw",
        own=None,
        outputs={"raw": DIFFERENT},
    ),
    "constant images": Situation(PHOTOS, "cannot tell", "surfaces of one colour", options={"are_plain": True}),
    "few images": Situation(
        PHOTOS,
        "cannot tell",
        "19 different images are too few: 20 are needed for a verdict. So far `keras` fits best (mismatch 0.002)",
        options={"images": 19},
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_gets_its_verdict(name: str) -> None:
    """The word for machines, the variant that is named, and the sentence for people."""
    case = SITUATIONS[name]
    measured = tuple(case.outputs or case.mismatches or ("keras",))
    options = {"are_predictions": False, "is_untrained": False, "are_plain": False, "images": N, **case.options}
    evidence = Evidence(
        variants=Variants(measured, case.asked or measured, case.own, case.own and "tf"),
        outputs=case.outputs or dict.fromkeys(measured, DIFFERENT),
        mismatches=case.mismatches,
        index=NAMES,
        **options,
    )
    found, criterion = judge_statistics(evidence)
    assert (found.finding, found.best) == (case.finding, case.best)
    assert case.says in found.verdict
    assert bool(re.search("[`),] looks right", found.verdict)) == (
        found.finding == "right" or name == "channels swapped"
    )
    assert criterion == ("batch statistics" if case.mismatches else "features")
    assert all(f"`{variant}` looks right" not in found.verdict for variant in measured if variant != case.own)
