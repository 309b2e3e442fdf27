"""The folder of a run: `run.json`, the head, the images with their splits, and the curves.

`run.json` is written last, so a folder that has one is complete. `folders` gives it its name.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.datasets.manifest import SPLITS
from featstore.errors import FeatstoreError, RunError, StoreError
from featstore.evaluation.remarks import judged_split
from featstore.objects.urls import parse_location
from featstore.plots.curve import draw_curve
from featstore.plots.reliability import draw_reliability
from featstore.runs.fine_tuning import FineTuning
from featstore.runs.hints import from_hint
from featstore.runs.run import FORMAT, FORMAT_VERSION, Run
from featstore.runs.titles import title_of
from featstore.spec import FeatureSpec
from featstore.store.spec_file import check_version
from featstore.system.files import write_whole
from featstore.system.paths import OnePath, one_path
from featstore.system.records import read_record

if TYPE_CHECKING:
    from featstore.datasets.manifest import Picture
    from featstore.evaluation.metrics import Metrics
    from featstore.heads.interface import Curve

IMAGES = "images.csv"
_EARLIER = (3, 4, 5)  # format versions that are read too: what they lack has a default
_COLUMNS = ("digest", "split", "group")  # the last one only if there are groups


def save_run(run: Run, pictures: Sequence[Picture], curve: Curve, plot: bytes | None = None) -> None:
    """Write all files of a run except the head, which is in its folder already; `run.json` comes last.

    pictures: the images of the data set, with splits and digests. plot: a PNG of the curve; None for the usual one.
    """
    labelled = [p for p in pictures if p.split and p.label is not None]
    # An image may have copies in several splits; train comes last and wins, because the image was trained on.
    last = {p.digest: p for p in sorted(labelled, key=lambda p: p.split == "train")}
    columns = _COLUMNS if any(p.group is not None for p in labelled) else _COLUMNS[:2]
    rows = [(digest, str(p.split), group_digest(p)) for digest, p in sorted(last.items())]
    lines = [",".join(row[: len(columns)]) for row in (columns, *rows)]
    write_whole(run.folder / IMAGES, "\n".join([*lines, ""]).encode())
    if curve.x:
        write_whole(run.folder / "curve.csv", _curve_csv(curve).encode())
        write_whole(run.folder / "curve.png", plot or draw_curve(curve, title_of(run)))
    split = judged_split(run.metrics)
    if split and (reliability := run.metrics[split].reliability):
        write_whole(run.folder / "reliability.png", draw_reliability(reliability, title_of(run), split))
    write_whole(run.folder / "run.json", json.dumps(run.describe(), indent=1, sort_keys=True).encode())


def load_run(folder: OnePath) -> Run:
    """Load a run from its folder. The head is read when it is first used.

    Args:
        folder: The folder that `train_head` or `fine_tune` saved the run in.

    Returns:
        The run.

    Raises:
        RunError: The folder has no `run.json`, or one that this version cannot read.
    """
    folder = Path(one_path(folder, "run"))
    path = folder / "run.json"
    if not path.is_file():
        raise RunError(f"{folder}: no finished run (it has no run.json); make one with featstore train-head")
    try:
        content = json.loads(path.read_bytes())
        _check_version(path, content)
        return _from_content(folder, content)
    except RunError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, FeatstoreError) as error:
        raise RunError(f"{path}: cannot be read: {type(error).__name__}: {error}; train the head again") from error


def load_curve(run: Run) -> Curve:
    """Return the curve that was saved with `run`; a curve without points if none was saved or it cannot be read."""
    from featstore.heads.interface import Curve

    try:
        rows = _read_csv(run.folder / "curve.csv")
        columns = list(zip(*([float(cell) for cell in row] for row in rows[1:]), strict=True))
        if any(map(math.isinf, chain(*columns))):
            raise ValueError("no training has an infinite loss")
        series = dict(zip(rows[0], map(list, columns), strict=True))
        name = rows[0][0]
        return Curve(name, series.pop(name), series, log_x=name != "epoch")  # C, penalties, numbers of neighbours
    except (OSError, ValueError, IndexError, csv.Error):
        return Curve("epoch", [], {})


def load_splits(run: Run) -> dict[str, str]:
    """Return the split of every image of `run`, by the digest of its content (SHA-256 in hex); raises RunError."""
    return {digest: split for digest, split, *_ in _read_images(run)}


def load_trained_groups(run: Run) -> frozenset[str]:
    """Return the digests of the groups with an image in the training split of `run` (see `group_digest`)."""
    return frozenset(group for _, split, *rest in _read_images(run) for group in rest if group and split == "train")


def group_digest(picture: Picture) -> str:
    """Return a digest of the name of the group, which may be that of a person; empty without a group."""
    return "" if picture.group is None else hashlib.sha256(f"group:{picture.group}".encode()).hexdigest()


def _read_images(run: Run) -> list[list[str]]:
    """Return digest, split and, if there are groups, the digest of the group, of every image of `run`."""
    path = run.folder / IMAGES
    try:
        header, *rows = _read_csv(path)
        if header not in (list(_COLUMNS[:2]), list(_COLUMNS)) or any(len(row) != len(header) for row in rows):
            raise ValueError("expected the columns digest and split")
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read: {error}; train again") from error
    return rows


def _read_csv(path: Path) -> list[list[str]]:
    if not path.is_file():  # reading a named pipe would block forever
        raise ValueError("no such file")
    return list(csv.reader(path.read_text().splitlines()))


def _check_version(path: Path, content: dict[str, Any]) -> None:
    """Raise RunError for a format version that is not read, ValueError for another format."""
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}; expected {FORMAT!r}")
    version = content["format_version"]
    if version in (1, 2):
        raise RunError(f"{path}: was made by an older featstore; train the head again")
    if type(version) is int and version in _EARLIER:
        return
    try:
        check_version(path, version, FORMAT_VERSION, content.get("versions"))
    except StoreError as error:
        raise RunError(str(error)) from error


def _from_content(folder: Path, content: dict[str, Any]) -> Run:
    """Return the run that `describe` wrote; raises one of several errors for anything else."""
    known = {name: value for name, value in content.items() if name not in ("format", "format_version", "key")}
    specs = [FeatureSpec.from_json(json.dumps(spec)) for spec in content["specs"]]
    fine_tuning = read_record(FineTuning, content["fine_tuning"]) if content["fine_tuning"] != {} else None
    run = read_record(Run, known | {"folder": folder, "specs": specs, "fine_tuning": fine_tuning})
    if Path(run.head_file).name != run.head_file:
        raise ValueError("the head is outside the run's folder")
    if not {"val", "test"} <= run.fractions.keys():
        raise ValueError("fractions: expected val and test")
    if not specs or run.key != content["key"]:
        raise ValueError("the key is not that of the specs")
    if run.temperature is not None and not 0 < run.temperature < math.inf:
        raise ValueError("the temperature is not a positive number")
    scores = run.conformal or ()
    if not all(0 <= score <= 1 for score in scores) or sorted(scores) != list(scores):
        raise ValueError("conformal: expected rising numbers from 0 to 1")
    for name in run.classes:
        os.fsencode(name)  # raises for text that cannot be the name of a folder, or be printed
    return _with_places(replace(run, metrics=_in_order(run.metrics)))


def _in_order(metrics: Mapping[str, Metrics]) -> dict[str, Metrics]:
    """Return the metrics as training gave them, in the order of the splits: the keys of a JSON file are sorted."""
    places = {split: place for place, split in enumerate(SPLITS)}
    return {split: metrics[split] for split in sorted(metrics, key=lambda split: places.get(split, len(SPLITS)))}


def _with_places(run: Run) -> Run:
    """Return the run with absolute paths in place of the hints."""

    def place(hint: str) -> str:
        return from_hint(hint, run.folder)

    tuning = run.fine_tuning
    return replace(
        run,
        data=place(run.data),
        cache=run.cache and parse_location(place(str(run.cache)), "cache"),
        recipes=tuple(recipe.with_path(place) for recipe in run.recipes),
        fine_tuning=tuning and replace(tuning, head_run=Path(place(str(tuning.head_run)))),
    )


def _curve_csv(curve: Curve) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([curve.x_name, *curve.series])
    rows.writerows(zip(curve.x, *curve.series.values(), strict=True))
    return text.getvalue()
