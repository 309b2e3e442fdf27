"""Runs: a trained head with all that is needed to use it again and to say how good it is, in one folder.

`run.json` is written last, so a folder with one is complete. Beside it: the head, `curve.csv` and `curve.png`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.errors import FeatstoreError, RunError, StoreError, param
from featstore.evaluation.metrics import Metrics, describe_splits, metrics_table
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import make_head
from featstore.plots.curve import draw_curve
from featstore.runs.fine_tuning import FineTuning
from featstore.spec import FeatureSpec
from featstore.store.spec_file import check_version
from featstore.system.files import file_digest, write_whole
from featstore.system.records import read_record
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.datasets.manifest import Picture
    from featstore.heads.interface import Classifier, Curve

FORMAT = "featstore-run"
FORMAT_VERSION = 4  # 2: several bases and views; 3: the images and their splits, and fine-tuning; 4: notes, head.npz
_IMAGES = "images.csv"
_READING_HEAD = threading.Lock()  # one for all runs, so that a run can be copied and pickled


@dataclass(frozen=True, kw_only=True)
class Run(Shown):
    """A trained head, or the top of a network that was fine-tuned with its head.

    Attributes:
        folder: Where it is saved.
        head: Name of the head, or `fine-tuned`.
        parameters: Parameters of the head, or the settings of the fine-tuning.
        chosen: What training chose by itself, such as C or the best epoch.
        recipes: One for each base; the features of several stand side by side.
        specs: Those of all parts of the recipes, in the order of their plans.
        train_on: `plain` or `all` views of an image.
        average: What is averaged over the views of an image: `probabilities`, `logits` or `features`.
        classes: Names of the classes, sorted, in the order of the probabilities.
        metrics: Metrics by split, as in `run.metrics["test"].accuracy`.
        seconds: Seconds by stage: `features`, `fit` and `total`.
        seed: Seed of the training.
        data: Path of the data set.
        fractions: Shares for `val` and `test` where the data set brought no such splits.
        fine_tuning: How the network came from a head; None for a head.
        notes: What makes the metrics too good, such as images in two splits.
        versions: Versions of featstore and of the libraries that made the run.
        head_file: Name of the file with what was trained.
        head_sha256: SHA-256 (hex) of that file, checked when it is loaded.
    """

    folder: Path
    head: str
    parameters: dict[str, Any]
    chosen: dict[str, Any]
    recipes: tuple[Recipe, ...]
    specs: tuple[FeatureSpec, ...]
    train_on: str
    average: str
    classes: tuple[str, ...]
    metrics: dict[str, Metrics]
    seconds: dict[str, float]
    seed: int
    data: str
    fractions: dict[str, float]
    fine_tuning: FineTuning | None = None
    notes: tuple[str, ...] = ()
    versions: dict[str, str]
    head_file: str
    head_sha256: str

    @property
    def key(self) -> str:
        """What identifies the features: the key of the spec, or a digest over the keys of several."""
        if len(self.specs) == 1:
            return self.specs[0].key
        return hashlib.sha256("\n".join(spec.key for spec in self.specs).encode()).hexdigest()

    def load_head(self) -> Classifier:
        """Return the trained head, which is read at the first call and then kept; threads may call at once.

        The digest of its file is checked when it is read. A file that changes later changes nothing here: this object
        goes on with the head that was saved, and the next `load_run` reads and checks the file again.

        Raises:
            RunError: The file is missing, cannot be read, or is not the one that was saved.
        """
        with _READING_HEAD:
            return self._head

    @cached_property
    def _head(self) -> Classifier:
        file = self.folder / self.head_file
        try:
            if file.exists() and not file.is_file():
                raise RunError(f"{file}: is not a regular file; train the head again")
            found = file_digest(file)
        except OSError as error:
            raise RunError(f"{file}: cannot be opened: {error.strerror}; train the head again") from error
        if found != self.head_sha256:
            raise RunError(f"{file}: is not the head that this run saved (its SHA-256 differs); train the head again")
        if self.fine_tuning:
            from featstore.heads.fine_tuned import FineTunedNetwork

            head: Classifier = FineTunedNetwork(len(self.classes))
        else:
            head = make_head(self.head, self.parameters)
        head.load(file)
        return head

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: a copy in another process reads the head from its file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, len(classes)) for features X (n, ...), one row for each image."""
        return self.predict_views(X[:, None])

    def predict_views(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, len(classes)) for features X (n, views, ...) in all views, averaged as in this run."""
        return self.answer([X])

    def answer(self, blocks: Iterable[NDArray[np.float32]]) -> NDArray[np.float64]:
        """As `predict_views`, for features that come in blocks of images, so that not all are in memory at once."""
        import numpy as np

        from featstore.evaluation.averaging import predict_views

        head, found = self.load_head(), []
        for X in blocks:
            try:
                with np.errstate(all="ignore"):  # NaN and infinity are refused below
                    found.append(predict_views(head.predict_proba, X, self.average))
            except (ValueError, TypeError, AttributeError) as error:  # as scikit-learn and TensorFlow say it
                raise RunError(
                    f"{self.folder}: its head does not take features of shape {X.shape[2:]}; train it again"
                ) from error
            if found[-1].shape != (len(X), len(self.classes)):
                raise RunError(
                    f"{self.folder}: its head does not tell {len(self.classes)} classes apart; train it again"
                )
            if not np.isfinite(found[-1]).all():
                raise RunError(f"{self.folder}: its head returned NaN or infinity; train it again")
        return np.concatenate(found)

    def parts(self) -> Iterator[str | Table]:
        """Yield how views are used where there are several, the metrics, what training chose, and the folder."""
        if views := self.describe_views():
            yield views
        yield metrics_table(self.metrics)
        chosen = ", ".join(f"{key} {value:g}" for key, value in self.chosen.items())
        yield f"{self.head} ({chosen}): features {self.seconds['features']:.1f} s, fit {self.seconds['fit']:.1f} s"
        yield f"saved in {self.folder}"

    def describe_views(self) -> str:
        """Return how the views of an image are used, in a sentence; nothing where each image has one."""
        recipe = self.recipes[0]
        versions = recipe.views.partition("augment:")[2]
        if versions:
            return (
                f"augmented: trained on the plain view and {versions} random versions of each training image; "
                "validation and test on the plain view"
            )
        if recipe.views == "one" and not recipe.scales:
            return ""
        seen = {"one": "one view", "flip": "2 views", "five": "5 views", "ten": "10 views"}[recipe.views]
        sizes = f" at {1 + len(recipe.scales.split(','))} sizes" if recipe.scales else ""
        trained = "every view" if self.train_on == "all" else "the plain view"
        return f"views: trained on {trained}; answers average the {self.average} of {seen}{sizes}"

    def describe(self) -> dict[str, Any]:
        """The content of `run.json`."""
        content = asdict(self) | {
            "recipes": [recipe.describe() for recipe in self.recipes],
            "specs": [spec.describe() for spec in self.specs],
            "metrics": describe_splits(self.metrics),
            "fine_tuning": self.fine_tuning.describe() if self.fine_tuning else {},
            "key": self.key,
        }
        del content["folder"]
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **content}


def check_root(root: Path) -> None:
    """Raise RunError where no run can be saved below `root`, before the work is done that it would hold."""
    nearest = next(path for path in (root, *root.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise RunError(f"{nearest}: is not a folder; choose another folder for {param('runs')}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RunError(f"{nearest}: cannot be written; choose another folder for {param('runs')}")


def new_folder(root: Path, name: str) -> Path:
    """Make and return `root/name`, or with -2, -3, ... where that exists, also beside other processes."""
    number = 1
    while True:
        folder = root / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise RunError(
                f"{folder}: cannot be made: {error.strerror}; choose another folder for {param('runs')}"
            ) from error
        else:
            return folder


def save_run(run: Run, pictures: Sequence[Picture], curve: Curve, picture: bytes | None = None) -> None:
    """Write all else beside the head, which is in the folder already, and `run.json` last.

    pictures: those of the data set, with splits and digests. picture: the curve as a PNG, if not the usual one.
    """
    labelled = [p for p in pictures if p.split and p.label is not None]
    images = {p.digest: p.split for p in sorted(labelled, key=lambda p: p.split == "train")}  # a copy there counts
    lines = ["digest,split", *(f"{digest},{split}" for digest, split in sorted(images.items()))]
    write_whole(run.folder / _IMAGES, "\n".join([*lines, ""]).encode())
    if curve.x:
        write_whole(run.folder / "curve.csv", _curve_csv(curve).encode())
        bases = " + ".join(dict.fromkeys(spec.model for spec in run.specs))
        write_whole(run.folder / "curve.png", picture or draw_curve(curve, f"{run.head} on {bases}"))
    write_whole(run.folder / "run.json", json.dumps(run.describe(), indent=1, sort_keys=True).encode())


def load_run(folder: str | os.PathLike[str]) -> Run:
    """The run in `folder`; raises RunError unless its `run.json` is one that this version reads."""
    path = Path(folder) / "run.json"
    if not path.is_file():
        raise RunError(f"{folder}: no finished run (it has no run.json); make one with featstore train-head")
    try:
        content = json.loads(path.read_bytes())
        _check_version(path, content)
        return _from_content(Path(folder), content)
    except RunError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, FeatstoreError) as error:
        raise RunError(f"{path}: cannot be read: {type(error).__name__}: {error}; train the head again") from error


def load_curve(run: Run) -> Curve:
    """The curve that was saved with `run`; one without points where there is none, or none that can be read."""
    from featstore.heads.interface import Curve

    try:
        rows = _read_csv(run.folder / "curve.csv")
        columns = list(zip(*([float(cell) for cell in row] for row in rows[1:]), strict=True))
        series = dict(zip(rows[0], map(list, columns), strict=True))
        return Curve(rows[0][0], series.pop(rows[0][0]), series)
    except (OSError, ValueError, IndexError, csv.Error):
        return Curve("epoch", [], {})


def load_splits(run: Run) -> dict[str, str]:
    """The split of every image that `run` was made with, by its content digest (SHA-256 in hex); raises RunError."""
    path = run.folder / _IMAGES
    try:
        rows = _read_csv(path)
        if rows[0] != ["digest", "split"]:
            raise ValueError("expected the columns digest and split")
        return {digest: split for digest, split in rows[1:]}  # noqa: C416 - it checks that there are two
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read: {error}; train again") from error


def _read_csv(path: Path) -> list[list[str]]:
    if not path.is_file():  # a pipe would be waited for without end
        raise ValueError("there is no such file")
    return list(csv.reader(path.read_text().splitlines()))


def list_runs(root: Path) -> Iterator[Run]:
    """The finished runs directly below `root`, by name."""
    for path in sorted(root.glob("*/run.json")):
        yield load_run(path.parent)


def _check_version(path: Path, content: dict[str, Any]) -> None:
    """Raises RunError for a run of another version, ValueError for what is no run."""
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}")
    version = content["format_version"]
    if version in (1, 2):
        raise RunError(f"{path}: was made by an older featstore; train the head again")
    if type(version) is int and version == 3:
        return
    try:
        check_version(path, version, FORMAT_VERSION, content.get("versions"))
    except StoreError as error:
        raise RunError(str(error)) from error


def _from_content(folder: Path, content: dict[str, Any]) -> Run:
    """Return the run that `describe` wrote; raises one of several errors for anything else."""
    if content["format_version"] == 3:
        content |= {"notes": []}
    known = {name: value for name, value in content.items() if name not in ("format", "format_version", "key")}
    specs = [FeatureSpec.from_json(json.dumps(spec)) for spec in content["specs"]]
    fine_tuning = read_record(FineTuning, content["fine_tuning"]) if content["fine_tuning"] != {} else None
    run = read_record(Run, known | {"folder": folder, "specs": specs, "fine_tuning": fine_tuning})
    if Path(run.head_file).name != run.head_file:
        raise ValueError("the head lies outside the run's folder")
    if not {"val", "test"} <= run.fractions.keys():
        raise ValueError("fractions: expected val and test")
    if not specs or run.key != content["key"]:
        raise ValueError("the specs do not hash to the key")
    for name in run.classes:
        os.fsencode(name)  # what a folder can be called: it is printed and written
    return run


def _curve_csv(curve: Curve) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([curve.x_name, *curve.series])
    rows.writerows(zip(curve.x, *curve.series.values(), strict=True))
    return text.getvalue()
