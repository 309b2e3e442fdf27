"""Contents of reports that are made without any job: drawn pictures, invented answers, every part there or missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from featstore.auditing.findings import Check, Finding
from featstore.auditing.result import Audit
from featstore.comparison.curve_fit import fit
from featstore.comparison.learning_points import CurvePoint, HeadCurve
from featstore.comparison.learning_result import LearningCurve
from featstore.datasets.summary import DataSummary
from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.metrics import compute_metrics
from featstore.evaluation.paired import Difference
from featstore.evaluation.units import Units
from featstore.explanation.result import Explanation
from featstore.extraction.recipe import Recipe
from featstore.heads.interface import Curve
from featstore.reporting.content import Content, ReportImage
from featstore.reporting.thumbnails import Sprite, Thumbnails
from featstore.runs.run import Run
from featstore.runs.side_by_side import ComparedRun, RunComparison
from featstore.sweeping.result import Sweep, SweepRow
from featstore.system.text import Table
from helpers.specs import SPEC

TWO = ("cats", "dogs")
FIVE = ("daisy", "dandelion", "rose", "sunflower", "tulip")
NON_LATIN = ("猫", "犬", "قطة", "בעל חיים", "कुत्ता", "собака", "😀 cat")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><!--",
    "&amp;<b>bold</b>",
    "{{ 7 * 7 }}",
    "a\u2028b\u202egnp.exe",
    "=cmd|' /C calc'!A0",
)
MANY = tuple(f"species {n:03d} of a long-named family" for n in range(120))


@dataclass(frozen=True)
class Made:
    """A content and its thumbnails."""

    content: Content
    thumbnails: Thumbnails


def make_content(
    classes: Sequence[str] = TWO,
    n: int = 120,
    *,
    skill: float = 2.0,
    names: str = "{label}/{number:04d}.jpg",
    unlabelled: int = 0,
    seed: int = 0,
    **changes: Any,
) -> Made:
    """Return a content of `n` images of `classes`, answered the better the larger `skill` is.

    names: pattern of the paths. unlabelled: images without a label. changes: other fields of `Content`.
    """
    random = np.random.default_rng(seed)
    truth = np.arange(n) % len(classes)
    logits = random.normal(size=(n, len(classes)))
    logits[np.arange(n), truth] += skill
    odds = np.exp(2 * logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    splits = np.array(["train", "train", "val", "test", "test"])[np.arange(n) // len(classes) % 5]
    centres = random.uniform(0.15, 0.85, (len(classes), 2))
    places = np.clip(centres[truth] + random.normal(0, 0.07, (n, 2)), 0, 1)
    images = []
    for number in range(n):
        row, label = probabilities[number], None if number < unlabelled else classes[truth[number]]
        order = np.argsort(-row)
        path = names.format(label=str(classes[truth[number]]).replace("/", "_"), number=number)
        size = 1 + int(np.searchsorted(np.cumsum(row[order]), 0.8))
        images.append(
            ReportImage(
                path=path,
                file=f"/data/{path}",
                label=label,
                split=None if label is None else str(splits[number]),
                answer=classes[order[0]],
                probability=float(row[order[0]]),
                of_label=None if label is None else float(row[truth[number]]),
                place=(float(places[number, 0]), float(places[number, 1])),
                answers=tuple(classes[c] for c in order[:size]),
            )
        )
    run = _run(classes, probabilities, truth, splits)
    other = replace(run, folder=Path("runs/mlp-2"), head="mlp", command="featstore train-head DATA --head mlp")
    data = _data(images, classes)
    held_out = [image for image in images if image.split != "train"]
    content = Content(
        title="drawn pictures",
        created="2026-11-26T20:00:00Z",
        command="featstore report drawn --model MobileNet",
        summary=(
            "The same picture is in train and in test: the figures are too good until that is mended.",
            "The best head is logistic; mlp may be as good.",
            "100 more photos per class would be worth about 1.2 points (0.3 to 2.0).",
            "Look at the wrong answers first: the surest of them may have wrong labels.",
        ),
        data=data,
        audit=_audit(images, classes, data),
        runs=(run, other),
        curves={"logistic-1": _course_over_c(), "mlp-2": _course_over_epochs()},
        comparison=_comparison(run, other),
        sweep=_sweep(run, data),
        learning=_learning(data),
        images=tuple(images),
        total=n,
        explanations=_explanations(images),
        promise=0.9,
        wrong=tuple(i.path for i in sorted(held_out, key=lambda i: -i.probability) if i.is_wrong)[:24],
        unsure=tuple(i.path for i in sorted(held_out, key=lambda i: i.probability) if not i.is_wrong)[:12],
        commands=(("answer new images", "featstore predict runs/logistic-1 IMAGES"),),
        notes=("heat maps are of 40 images",),
        versions={"featstore": "0.1.0", "numpy": np.__version__, "python": "3.11.7"},
    )
    return Made(replace(content, **changes), _thumbnails(images, truth))


def bare_content() -> Made:
    """Return a content in which all that may be missing is missing."""
    made = make_content(n=20, unlabelled=20)
    run = replace(made.content.runs[0], metrics={}, temperature=None, conformal=None, command=None, date=None)
    empty = replace(
        made.content,
        command=None,
        summary=(),
        audit=None,
        runs=(run,),
        curves={},
        comparison=None,
        sweep=None,
        learning=None,
        explanations={},
        wrong=(),
        unsure=(),
        commands=(),
        notes=(),
        promise=None,
        with_images=False,
    )
    return Made(empty, made.thumbnails)


def _run(classes: Sequence[str], probabilities: Any, truth: Any, splits: Any) -> Run:
    used = {"train": "training", "val": "choosing", "test": "measuring"}
    labels = np.array(classes)[truth]
    metrics = {
        split: compute_metrics(probabilities[splits == split], labels[splits == split], classes, used_for=used[split])  # type: ignore[arg-type]
        for split in used
    }
    return Run(
        folder=Path("runs/logistic-1"),
        head="logistic",
        parameters={},
        chosen={"C": 0.1},
        recipes=(Recipe(model="MobileNet", alpha=0.75),),
        specs=(SPEC,),
        train_on="plain",
        average="probabilities",
        classes=tuple(classes),
        metrics=metrics,
        seconds={"features": 1.2, "fit": 0.4, "total": 1.6},
        seed=0,
        data="drawn",
        fractions={"val": 0.2, "test": 0.4},
        cache=Path("/data/cache"),
        date="2026-11-26T19:58:00Z",
        command="featstore train-head drawn --model MobileNet --head logistic",
        temperature=1.34,
        conformal=(0.1, 0.2),
        remarks=("few images were held out: the interval is wide",),
        versions={"featstore": "0.1.0"},
        head_file="head.npz",
        head_sha256="ab" * 32,
    )


def _data(images: Sequence[ReportImage], classes: Sequence[str]) -> DataSummary:
    counts: dict[str, dict[str | None, int]] = {name: {} for name in classes}
    unlabelled: dict[str | None, int] = {}
    for image in images:
        of = unlabelled if image.label is None else counts[image.label]
        of[image.split] = of.get(image.split, 0) + 1
    return DataSummary(
        layout="folders of classes", counts=counts, unlabelled=unlabelled, remarks=("2 files are no images",)
    )


def _audit(images: Sequence[ReportImage], classes: Sequence[str], data: DataSummary) -> Audit:
    paths = [image.file for image in images]
    checks = (
        Check(
            name="leaks",
            title="leaks between splits",
            weight="alarm",
            verdict="2 pictures are in train and in test: the accuracy on test is 0.913 without them, 0.925 with them",
            findings=(
                Finding((paths[0], paths[1]), "the same file in train and in test", 1.0, "bytes"),
                Finding(tuple(paths[2:10]), "the same picture, changed, in train and in test", 0.93, "near"),
            ),
            advice="featstore audit drawn --fix-split fixed.csv",
        ),
        Check(
            name="labels",
            title="suspect labels",
            weight="look",
            verdict="about 2 % of the labels are wrong; these are the likeliest",
            findings=tuple(
                Finding((path,), "labelled otherwise than the other images say", 0.9, "suspect", classes[-1])
                for path in paths[10:32]
            ),
            table=Table(("label", "suspect", "of"), [[name, "2", "40"] for name in classes[:5]]),
            advice="look at them, and correct the labels that are wrong",
        ),
        Check(name="outliers", title="outliers", weight="note", verdict="the 12 least usual images"),
        Check(name="unreadable", title="files left out", weight="fine", verdict="every image file could be read"),
    )
    return Audit(
        source="drawn",
        checks=checks,
        data=data,
        made_splits=False,
        features={"model": "MobileNet"},
        seed=0,
        images=(),
        fix=None,
    )


def _comparison(run: Run, other: Run) -> RunComparison:
    rows = (
        ComparedRun(run, "logistic-1", 0.92, (0.85, 0.96), 0.21, Difference(0.0, 0.0, 0.0)),
        ComparedRun(other, "mlp-2", 0.90, (0.82, 0.95), 0.26, Difference(-0.02, -0.06, 0.02)),
    )
    return RunComparison(
        rows=rows,
        n=80,
        groups=None,
        images="the images that are in the test split of every run",
        differences={"head": ("logistic", "mlp")},
        notes=(),
    )


def _sweep(run: Run, data: DataSummary) -> Sweep:
    recipe = Recipe(model="MobileNet", alpha=0.75)
    rows = []
    for place, (name, parameters) in enumerate(
        [("logistic", {"C": 0.1}), ("logistic", {"C": 1.0}), ("svm", {"C": 0.01}), ("mlp", {"units": 64}), ("knn", {})]
    ):
        accuracy = 0.93 - 0.015 * place
        rows.append(
            SweepRow(
                name=f"{name} {' '.join(f'{key}={value}' for key, value in parameters.items())}".strip(),
                recipe=recipe,
                head=name,
                parameters=parameters,
                accuracy=accuracy,
                accuracy_ci95=(accuracy - 0.03, accuracy + 0.02),
                log_loss=0.2 + 0.05 * place,
                behind=0.05 * place,
                behind_ci95=(0.05 * place - 0.06 * (place > 0), 0.05 * place + 0.06 * (place > 0)),
                is_tied=place == 1,
                seconds=0.4 + place,
            )
        )
    return Sweep(
        run=run,
        rows=tuple(rows),
        tried=24,
        given_up=9,
        failed={},
        n=160,
        groups=None,
        folds=5,
        by="log-loss",
        findings=(
            "best: logistic C=0.1: accuracy 0.930 [0.900, 0.950]",
            "1 of 4 other finished trials are not significantly different",
        ),
        seconds=12.0,
        journal=Path("runs/sweep.jsonl"),
        skipped=(),
        notes=(),
        data=data,
    )


def _learning(data: DataSummary) -> LearningCurve:
    random, n = np.random.default_rng(1), 200
    units, heads = Units.single(n), {}
    for head, level in (("logistic", 0.9), ("knn", 1.4)):
        sizes = [4, 8, 16, 32, 64]
        right = [
            (random.uniform(size=(3 if size < 64 else 1, n)) > level * size**-0.45).astype(float) for size in sizes
        ]
        points = tuple(
            CurvePoint(
                head=head,
                images=2.0 * size,
                per_class=float(size),
                draws=len(some),
                accuracy=float(some.mean()),
                accuracy_ci95=accuracy_interval(some.mean(axis=0)),
                spread=float(some.mean(axis=1).std(ddof=1)) if len(some) > 1 else None,
                log_loss=1 - float(some.mean()),
                seconds_fit=0.1,
            )
            for size, some in zip(sizes, right, strict=True)
        )
        heads[head] = HeadCurve(points, fit([float(size) for size in sizes], right, units))
    return LearningCurve(heads, 100, units, "the test split", data, (), ())


def _course_over_epochs() -> Curve:
    epochs = [float(epoch) for epoch in range(1, 25)]
    return Curve(
        "epoch",
        epochs,
        {
            "loss": [0.7 * 0.86**epoch + 0.03 for epoch in epochs],
            "val_loss": [0.7 * 0.8**epoch + 0.2 + 0.004 * epoch for epoch in epochs],
            "accuracy": [0.99 - 0.4 * 0.8**epoch for epoch in epochs],
            "val_accuracy": [0.92 - 0.35 * 0.75**epoch for epoch in epochs],
        },
    )


def _course_over_c() -> Curve:
    return Curve(
        "C",
        [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0],
        {"cv_log_loss": [0.6, 0.4, 0.27, 0.21, 0.24, 0.4], "cv_accuracy": [0.8, 0.87, 0.91, 0.92, 0.915, 0.9]},
        log_x=True,
    )


def _explanations(images: Sequence[ReportImage]) -> dict[str, Explanation]:
    heat = np.random.default_rng(2).normal(size=(7, 7)).astype(np.float32)
    return {
        image.path: Explanation(
            path=image.path,
            label=image.answer,
            probability=image.probability,
            answer=image.answer,
            method="cam",
            heat=heat,
        )
        for image in images[:40]
    }


def _thumbnails(images: Sequence[ReportImage], truth: Any) -> Thumbnails:
    small = {image.path: _drawn(int(truth[i]), i, 64) for i, image in enumerate(images)}
    large = {image.path: _drawn(int(truth[i]), i, 160) for i, image in enumerate(images[:60])}
    hot = {path: Image.blend(tile, _heat(), 0.45) for path, tile in [*large.items()][:40]}
    return Thumbnails(_sprite(small, 64), _sprite(large, 160), _sprite(hot, 160), {})


def _drawn(kind: int, number: int, side: int) -> Image.Image:
    random = np.random.default_rng(number)
    paper, ink = (tuple(random.integers(low, low + 120, 3).tolist()) for low in (130, 0))
    picture = Image.new("RGB", (side, side), paper)
    draw = ImageDraw.Draw(picture)
    middle, reach = side / 2 + random.normal(0, side / 16, 2), side * random.uniform(0.2, 0.35)
    if kind == 0:
        draw.ellipse([*(middle - reach), *(middle + reach)], fill=ink)
    else:
        draw.regular_polygon((*middle, reach), 2 + kind % 7 + 1, rotation=int(random.integers(90)), fill=ink)
    return picture


def _heat() -> Image.Image:
    cells = np.random.default_rng(0).integers(0, 256, (7, 7))
    colours = np.stack([cells, 110 + 0 * cells, 255 - cells], axis=2).astype(np.uint8)
    return Image.fromarray(colours).resize((160, 160), Image.Resampling.BICUBIC)


def _sprite(tiles: Mapping[str, Image.Image], side: int) -> Sprite:
    from io import BytesIO

    columns = max(1, int(np.ceil(np.sqrt(len(tiles)))))
    sheet = Image.new("RGBA", (columns * side, max(1, -(-len(tiles) // columns)) * side))
    for number, tile in enumerate(tiles.values()):
        sheet.paste(tile, (number % columns * side, number // columns * side))
    content = BytesIO()
    sheet.save(content, "webp", quality=60)
    return Sprite(content.getvalue(), side, columns, {path: number for number, path in enumerate(tiles)})
