"""A run: a trained head, with what is needed to use it again and with its metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.errors import RunError
from featstore.evaluation.metrics import Metrics, UsedFor, describe_splits
from featstore.evaluation.repeats import FoldEstimate
from featstore.evaluation.shown import metrics_parts
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import make_head, stops_on_val
from featstore.objects.urls import Location, Url
from featstore.runs.fine_tuning import FineTuning
from featstore.runs.hints import to_hint
from featstore.runs.measuring import use_of_validation
from featstore.runs.pictures import saved_pictures
from featstore.spec import FeatureSpec
from featstore.system.files import NotRegularFile
from featstore.system.fork_lock import ForkLock
from featstore.system.notebook import Picture
from featstore.system.pinned import pinned
from featstore.system.private_copy import private_copy
from featstore.system.text import Shown, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.heads.interface import Classifier

FORMAT = "featstore-run"
FORMAT_VERSION = 6
# 2: several bases and views; 3: the images and their splits, and fine-tuning; 4: notes, head.npz; 5: date, command,
# cache and interruption, paths that are hints, metrics by class, and remarks; 6: more metrics, temperature, conformal
# scores, folds
_READING_HEAD = ForkLock()  # one for all runs: a lock in a run could not be copied or pickled


@dataclass(frozen=True, kw_only=True, repr=False)
class Run(Shown):
    """A trained head, or the top of a base that was fine-tuned together with its head.

    Attributes:
        folder: Folder that it is saved in.
        head: Name of the head, or `fine-tuned`.
        parameters: Parameters of the head, or the settings of the fine-tuning.
        chosen: Values that training chose, such as C or the best epoch.
        recipes: Recipes of the features, one for each base; the features of several are put side by side.
        specs: Resolved specs of the features; a recipe with several sizes has several.
        train_on: Views that each training image was used in: `plain` or `all`.
        average: Quantity that is averaged over the views of an image: `probabilities`, `logits` or `features`.
        classes: Names of the classes, in the order of the probabilities: that of `Manifest.classes` when it was made.
        metrics: Metrics by split, as in `run.metrics["test"].accuracy`.
        seconds: Seconds by stage: `features`, `fit` and `total`.
        seed: Seed of the training.
        data: Path of the data set when the run was made.
        cache: Folder of the features when the run was made; None if it was not recorded.
        date: Date and time when the run was saved, in UTC as in ISO 8601; None if it was not recorded.
        command: The command line that made the run; None if a program did.
        chosen_by: How a search chose the head, by its training and validation images; None if there was none.
        interrupted: Whether the training was interrupted, so that the run is the best of the epochs until then.
        fractions: Shares for `val` and `test`, used where the data set has no such splits.
        fine_tuning: Record of the fine-tuning; None for a head.
        temperature: Number that the logits are divided by, as the validation split chose it; None if none was chosen.
        conformal: Scores of the validation split in rising order, which say how large a set of classes must be; None if
            there are none.
        folds: How accurate heads like this one are by cross-validation; None if that was not asked for.
        notes: Reasons why the metrics are too good, such as copies of an image in two splits, or cannot be compared
            with those of earlier runs, whose splits were others.
        remarks: What a colleague would say of the training and its figures, the most important first.
        versions: Versions of featstore and of the libraries that made the run.
        head_file: Name of the file with the trained weights.
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
    cache: Url | Path | None = None
    date: str | None = None
    command: str | None = None
    chosen_by: str | None = None
    interrupted: bool = False
    fine_tuning: FineTuning | None = None
    temperature: float | None = None
    conformal: tuple[float, ...] | None = None
    folds: FoldEstimate | None = None
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    versions: dict[str, str]
    head_file: str
    head_sha256: str

    @property
    def key(self) -> str:
        """Key of the features: that of the spec, or a digest over the keys of several specs."""
        if len(self.specs) == 1:
            return self.specs[0].key
        return hashlib.sha256("\n".join(spec.key for spec in self.specs).encode()).hexdigest()

    @property
    def use_of_val(self) -> UsedFor:
        """What the training used its validation split for."""
        stops = self.fine_tuning is not None or stops_on_val(self.head, self.parameters)
        chooses = self.chosen_by is not None
        return use_of_validation(chooses=chooses, stops=stops, calibrates=self.temperature is not None)

    @pinned()
    def load_head(self) -> Classifier:
        """Return the trained head. It is read at the first call and then kept in memory; the method is thread-safe.

        The digest of the file is checked when it is read. If the file changes later, this object still uses the head
        that it has read; the next `load_run` checks the file again.

        Raises:
            RunError: The file is missing, cannot be read, or is not the one that was saved.
        """
        with _READING_HEAD:
            return self._head

    @cached_property
    def _head(self) -> Classifier:
        file = self.folder / self.head_file
        try:
            with private_copy(file) as (copy, found):
                if found.digest != self.head_sha256:
                    raise RunError(
                        f"{file}: is not the head that this run saved (its SHA-256 differs); train the head again"
                    )
                head = self._new_head()
                head.load(copy)
                return head
        except NotRegularFile as error:
            raise RunError(f"{file}: is not a regular file; train the head again") from error
        except OSError as error:
            raise RunError(f"{file}: cannot be opened: {error.strerror or error}; train the head again") from error

    def _new_head(self) -> Classifier:
        """Return the head as it is before it is loaded."""
        if not self.fine_tuning:
            return make_head(self.head, self.parameters)
        from featstore.heads.fine_tuned import FineTunedNetwork

        return FineTunedNetwork(len(self.classes))

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields without the head: a copy in another process reads it from its file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities of each class for images that have one view.

        Args:
            X: Features (n, ...) float32, one row for each image.

        Returns:
            (n, len(classes)) float64, in the order of `classes`.

        Raises:
            RunError: The head cannot be loaded, or does not fit the features.
        """
        import numpy as np

        return self.predict_views(np.asarray(X, np.float32)[:, None])

    def predict_views(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities of each class, averaged over the views as `average` says, then scaled.

        The temperature comes last, as it was chosen for averaged probabilities.

        Args:
            X: Features (n, views, ...) float32.

        Returns:
            (n, len(classes)) float64, in the order of `classes`.

        Raises:
            RunError: The head cannot be loaded, or does not fit the features.
        """
        return self.predict_blocks([X])

    @pinned()
    def predict_blocks(self, blocks: Iterable[NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return the probabilities for blocks of images, so that their features need not be in memory at once.

        Args:
            blocks: Features (n, views, ...) float32 of some images at a time.

        Returns:
            (images, len(classes)) float64, the blocks one after the other.

        Raises:
            RunError: The head cannot be loaded, or does not fit the features.
        """
        import numpy as np

        from featstore.evaluation.averaging import predict_views
        from featstore.evaluation.temperature import scale

        head, probabilities = self.load_head(), []
        for X in blocks:
            try:
                with np.errstate(all="ignore"):  # NaN and infinity are refused below
                    probabilities.append(predict_views(head.predict_proba, X, self.average))
            except (ValueError, TypeError, AttributeError) as error:  # from scikit-learn or TensorFlow
                wanted, found = ("x".join(map(str, shape)) or "none" for shape in (head.row_shape, X.shape[2:]))
                raise RunError(
                    f"{self.folder}: its head takes rows of {wanted} values, found {found}: load the features of "
                    "the run's own specs, run.specs"
                ) from error
            if probabilities[-1].shape != (len(X), len(self.classes)):
                raise RunError(f"{self.folder}: its head does not have {len(self.classes)} classes; train it again")
            if not np.isfinite(probabilities[-1]).all():
                raise RunError(f"{self.folder}: its head returned NaN or infinity; train it again")
        return scale(np.concatenate(probabilities), self.temperature)

    def parts(self) -> Iterator[str | Table]:
        """Yield an interruption, the views, the metrics with the remarks, what training chose, and the folder."""
        if self.interrupted:
            yield f"interrupted after {self.chosen['epochs']} epochs: the best of them"
        if views := self.describe_views():
            yield views
        yield from metrics_parts(self.metrics, self.remarks)
        if self.folds:
            yield self.folds.line()
        chosen = [
            f"{key} {value}" if isinstance(value, str) else f"{key} {value:g}" for key, value in self.chosen.items()
        ]
        if self.temperature not in (None, 1):
            chosen.append(f"temperature {self.temperature:.3g}")
        words = f" ({', '.join(chosen)})" if chosen else ""
        yield f"{self.head}{words}: features {self.seconds['features']:.1f} s, fit {self.seconds['fit']:.1f} s"
        yield f"saved in {self.folder}"

    def plots(self) -> Iterator[Picture]:
        """Yield the curve of the training and the reliability, as they were drawn when the run was saved."""
        return saved_pictures(self.folder)

    def describe_views(self) -> str:
        """Return how the views of an image are used, as text; empty if each image has one view."""
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
        return f"views: trained on {trained}; predictions average the {self.average} of {seen}{sizes}"

    def describe(self) -> dict[str, Any]:
        """Return the content of `run.json`."""
        content = asdict(self) | {
            "recipes": [recipe.with_path(self._hint).describe() for recipe in self.recipes],
            "specs": [spec.describe() for spec in self.specs],
            "metrics": describe_splits(self.metrics),
            "data": self._hint(self.data),
            "cache": self._hint(self.cache) if self.cache else None,
            "fine_tuning": self._described_fine_tuning(),
            "key": self.key,
        }
        del content["folder"]
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **content}

    def _described_fine_tuning(self) -> dict[str, Any]:
        if self.fine_tuning is None:
            return {}
        return self.fine_tuning.describe() | {"head_run": self._hint(self.fine_tuning.head_run)}

    def _hint(self, path: str | Location) -> str:
        return to_hint(path, self.folder)
