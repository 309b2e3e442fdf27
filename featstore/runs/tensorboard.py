"""The course of a training as event files, which TensorBoard shows. TensorFlow writes them; TensorBoard is not needed.

As with Keras' callback, the curves of the training and of the validation lie in two folders and have the same names, so
they share a chart. The figures of the saved head are single points, at the epoch whose weights it has.
"""

from __future__ import annotations

import itertools
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from featstore.errors import FeatstoreError, StoreError, UsageError, param
from featstore.runs.files import load_curve
from featstore.runs.run import Run
from featstore.runs.settings import settings_of
from featstore.system.paths import OnePath, one_path
from featstore.system.tensorflow_loader import load_tensorflow

_VALIDATION = "val_"
_FOLDERS = {"train": "train", "val": "validation", "test": "test"}  # of the splits, as Keras calls them


class Point(NamedTuple):
    """A figure in the logs: the folder of its curve, the name of its chart, the epoch, and the figure."""

    folder: str
    tag: str
    step: int
    value: float


def check_logs(folder: OnePath | None) -> Path | None:
    """Return the folder of the logs; raises UsageError if nothing can be written there. Call it before the work."""
    if folder is None:
        return None
    path = Path(one_path(folder, "tensorboard"))
    nearest = next(above for above in (path, *path.absolute().parents) if above.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        problem = "cannot be written" if nearest.is_dir() else "is not a folder"
        raise UsageError(f"{param('tensorboard', str(path))}: {nearest} {problem}; choose another folder")
    return path


def log_run(run: Run, folder: Path | None) -> None:
    """Write the logs of a saved run below `folder`, under the name of its own folder; nothing if that is None.

    A failure is a warning: the run is saved, and worth more than its logs.
    """
    if folder is None:
        return
    try:
        load_tensorflow()
        _write(points_of(run), _as_markdown(settings_of(run)), _new_folder(folder, run.folder.name))
    except (OSError, FeatstoreError) as error:
        warnings.warn(f"{folder}: the logs of {run.folder} cannot be written: {error}", UserWarning, stacklevel=2)


def points_of(run: Run) -> list[Point]:
    """Return what is logged of a run: its curve over the epochs, if it has any, and the figures of the saved head."""
    curve, points = load_curve(run), []
    for name, values in curve.series.items() if curve.x_name == "epoch" else ():
        folder = _FOLDERS["val" if name.startswith(_VALIDATION) else "train"]
        tag = f"epoch_{name.removeprefix(_VALIDATION)}"
        for epoch, value in zip(curve.x, values, strict=True):
            if not math.isnan(value):  # before its first epoch a network has no training loss
                points.append(Point(folder, tag, int(epoch), value))
    best = int(run.chosen.get("best_epoch") or 0)
    for split, metrics in run.metrics.items():
        points.append(Point(_FOLDERS[split], "saved_accuracy", best, metrics.accuracy))
        points.append(Point(_FOLDERS[split], "saved_loss", best, metrics.log_loss))
    return points


def _write(points: Sequence[Point], settings: str, folder: Path) -> None:
    """Write the event files; raises StoreError."""
    import tensorflow as tf

    by_folder: dict[str, list[Point]] = {}
    for point in points:
        by_folder.setdefault(point.folder, []).append(point)
    try:
        for name, some in by_folder.items():
            with tf.summary.create_file_writer(str(folder / name)).as_default() as writer:
                for point in some:
                    tf.summary.write(point.tag, tf.constant(point.value, tf.float32), point.step, _shown_as("scalars"))
                writer.close()
        with tf.summary.create_file_writer(str(folder)).as_default() as writer:
            tf.summary.write("settings", tf.constant(settings), 0, _shown_as("text"))
            writer.close()
    except tf.errors.OpError as error:
        raise StoreError(str(error.message).partition("\n")[0]) from error


def _shown_as(plugin: str) -> Any:
    """Return the mark by which TensorBoard knows what a value is; `tf.summary.scalar` needs TensorBoard to make it."""
    import tensorflow as tf

    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = plugin
    return metadata


def _new_folder(folder: Path, name: str) -> Path:
    """Return a folder that does not exist: TensorBoard would join the curves of two runs in one."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(path for path in (folder / name for name in names) if not path.exists())


def _as_markdown(settings: Mapping[str, str]) -> str:
    rows = [f"| {name} | {value.replace('|', chr(92) + '|')} |" for name, value in settings.items()]
    return "\n".join(["| setting | value |", "|---|---|", *rows])
