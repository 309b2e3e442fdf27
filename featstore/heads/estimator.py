"""Heads by the name `module:Class`: any estimator in the manner of scikit-learn, also one of the user's own."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, make_dataclass
from hashlib import sha256
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.errors import UsageError, param
from featstore.heads.baseline import Baseline, Rows
from featstore.heads.folds import Fold
from featstore.heads.logits import probabilities_of
from featstore.heads.parameters import HeadParameters, parse_parameters
from featstore.heads.selection import FoldScores, HeldOut, choose, two_columns
from featstore.heads.skops_file import dump_trusted, read_trusted, untrusted_types
from featstore.system.progress import OnStep
from featstore.system.words import meant_by

_FOLDS = 5  # in which the scores of an estimator without probabilities are calibrated


@dataclass(frozen=True)
class FittedEstimator:
    """An estimator that was trained on rows of `width` numbers, whose classes are 0, 1, 2 ...

    name: that of the head. temperature: of its decision function; None if it has probabilities of its own.
    """

    name: str
    estimator: Any
    width: int
    temperature: float | None

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities (n, classes) for X (n, width); raises ValueError for another width.

        Raises UsageError for answers that are no probabilities. All answers are looked at: an estimator may be right on
        the rows that it was trained on, and give NaN for others.
        """
        answers = self.answers(X)
        if answers.ndim != 2 or len(answers) != len(X):
            raise UsageError(f"head {self.name}: expected a row for each of {len(X)} images, found {answers.shape}")
        sums = answers.sum(axis=1, keepdims=True)
        if not (np.isfinite(answers).all() and (answers >= 0).all() and np.allclose(sums, 1, atol=1e-3)):
            raise UsageError(f"head {self.name}: expected probabilities that add up to 1 for each image")
        return np.asarray(answers / sums)  # those of float32 add up to 1 but for their rounding

    def answers(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities as the estimator gives them; raises UsageError if it fails."""
        if X.shape[1:] != (self.width,):
            raise ValueError(f"expected rows of {self.width} features, found {X.shape}")
        with _told_of(self.name, "its predictions failed"):
            if self.temperature is not None:
                return probabilities_of(two_columns(self.estimator.decision_function(X)) / self.temperature)
            return np.asarray(self.estimator.predict_proba(X), np.float64)


@dataclass(kw_only=True)
class EstimatorHead(Baseline):
    """The class or function `name` is called with `parameters`, and with the seed where it takes a `random_state`.

    Its module is imported when it is trained, and never for a head that is only loaded: the name may come from the file
    of a stranger.
    """

    NAME: ClassVar[str] = "module:Class"

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        return dict(self.parameters)

    def train(self, rows: Rows, on_step: OnStep | None) -> FittedEstimator:
        def of_fold(fold: Fold) -> FoldScores:
            train, held_out = fold
            scores = self._fitted_to(rows.X[train], rows.y[train], rows.seed).decision_function(rows.X[held_out])
            return lambda _: scores

        temperature = None
        if not hasattr(make_estimator(self.name, self.parameters, rows.seed), "predict_proba"):
            temperature = 1.0
            if folds := rows.folds(_FOLDS):
                held_out = HeldOut(folds, rows.y, of_fold)
                temperature = choose("folds", [_FOLDS], held_out.scores, held_out.truth, on_step).temperature
            self._selected = {"fold_temperature": temperature}
        estimator = self._fitted_to(rows.X, rows.y, rows.seed)
        fitted = FittedEstimator(self.name, estimator, rows.X.shape[1], temperature)
        self._check_answers(fitted, rows)
        return fitted

    def network(self, shape: tuple[int, ...]) -> Any:
        from featstore.heads.registry import check_network

        check_network(self.name)

    def save(self, folder: Path) -> str:
        fitted: FittedEstimator = self._classifier
        temperature = -1.0 if fitted.temperature is None else fitted.temperature
        content = {"estimator": fitted.estimator, "width": fitted.width, "temperature": temperature}
        _refuse_untrusted(self.name, fitted.estimator)
        dump_trusted(content, folder / "head.skops")
        return "head.skops"

    def _read(self, file: Path) -> FittedEstimator:
        content = read_trusted(file)
        if type(content) is not dict or set(content) != {"estimator", "width", "temperature"}:
            raise ValueError(f"it has a {type(content).__name__}, not an estimator with its width and temperature")
        estimator, temperature = content["estimator"], float(content["temperature"])
        if not _is_of_sklearn(estimator):
            raise ValueError(f"it has a {type(estimator).__name__}, not an estimator of scikit-learn")
        return FittedEstimator(self.name, estimator, int(content["width"]), temperature if temperature > 0 else None)

    def _fitted_to(self, X: NDArray[np.float32], y: NDArray[np.intp], seed: int) -> Any:
        estimator = make_estimator(self.name, self.parameters, seed)
        with _told_of(self.name, "its fit failed"):
            estimator.fit(X, y)
        return estimator

    def _check_answers(self, fitted: FittedEstimator, rows: Rows) -> None:
        """Raise UsageError for answers that are not those of the classes, in their order."""
        known = getattr(fitted.estimator, "classes_", None)
        if known is not None and not np.array_equal(known, np.arange(rows.classes)):
            raise UsageError(f"head {self.name}: expected the classes_ 0, 1, 2 ... that it was trained on, in order")
        some, expected = rows.X[:100], (len(rows.X[:100]), rows.classes)
        if (found := fitted.answers(some).shape) != expected:
            raise UsageError(f"head {self.name}: expected probabilities of shape {expected}, found {found}")
        fitted.predict_proba(some)  # which looks at the probabilities themselves


def make_estimator(name: str, parameters: Mapping[str, Any], seed: int = 0) -> Any:
    """Return the estimator that `name` makes, with the seed for each `random_state` that is None.

    Raises UsageError if it cannot be found or made, or can neither be trained nor answer with a score of each class.
    """
    make = _found(name)
    with _told_of(name, "cannot be made"):
        estimator = make(**parse_parameters(estimator_parameters(name), name, parameters))
    if not hasattr(estimator, "fit"):
        raise UsageError(f"head {name}: expected an estimator with `fit`, found a {type(estimator).__name__}")
    if not (hasattr(estimator, "predict_proba") or hasattr(estimator, "decision_function")):
        raise UsageError(
            f"head {name}: has neither `predict_proba` nor `decision_function`, so its answers have no probabilities"
        )
    if hasattr(estimator, "get_params") and hasattr(estimator, "set_params"):
        known = estimator.get_params(deep=True)
        seeds = {key: seed for key in known if key.split("__")[-1] == "random_state" and known[key] is None}
        estimator.set_params(**seeds)
    return estimator


def estimator_parameters(name: str) -> type[Any]:
    """Return a dataclass of what the constructor takes by name. Imports the module; raises UsageError if it cannot."""
    try:
        taken = list(signature(_found(name)).parameters.values())
    except (TypeError, ValueError):  # of a class in C
        taken = []
    named = [one.name for one in taken if one.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
    return make_dataclass("EstimatorParameters", [(name, Any, None) for name in named], bases=(HeadParameters,))


def code_digest(name: str) -> str:
    """Return a digest of the files that have the code of `name`: a changed estimator is another one.

    Modules that these import are not looked at.
    """
    make = _found(name)
    modules = {name.partition(":")[0], str(getattr(make, "__module__", None))}
    files = sorted({file for module in modules if (file := getattr(sys.modules.get(module), "__file__", None))})
    return sha256(b"".join(sha256(Path(file).read_bytes()).digest() for file in files)).hexdigest()


def check_saveable(name: str, parameters: Mapping[str, Any]) -> None:
    """Raise UsageError if a run could not keep the estimator, before anything is trained."""
    estimator = make_estimator(name, parameters)
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:  # training may add objects of other types
            estimator.fit(rng.normal(size=(40, 8)).astype(np.float32), np.arange(40) % 2)
        except (Exception, SystemExit):  # noqa: BLE001  # these rows may not suit it; `save` looks again
            estimator = make_estimator(name, parameters)
    _refuse_untrusted(name, estimator)


def _refuse_untrusted(name: str, estimator: Any) -> None:
    """Raise UsageError for an estimator that cannot be saved without pickling it."""
    unknown = untrusted_types(estimator) if _is_of_sklearn(estimator) else [type(estimator).__name__]
    if unknown:
        raise UsageError(
            f"head {name}: a run cannot keep it: skops does not trust {', '.join(unknown)}, and a pickle may run any "
            "code when it is loaded; measure it with compare"
        )


def _is_of_sklearn(estimator: Any) -> bool:
    return type(estimator).__module__.split(".")[0] == "sklearn" and hasattr(estimator, "fit")


def _found(name: str) -> Any:
    """Return what `name` stands for. The working folder is searched last, so it hides no installed module."""
    module_name, _, attribute = name.partition(":")
    working_folder = str(Path.cwd())
    sys.path.append(working_folder)
    try:
        module = import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the user's code raises, and a script that runs and ends
        raise UsageError(
            f"{param('head', name)}: module {module_name} cannot be imported: {_in_a_line(error)}; it is looked for "
            "among the installed packages and in the working folder"
        ) from error
    finally:
        sys.path.remove(working_folder)
    if not callable(getattr(module, attribute, None)):
        near = meant_by(attribute, [word for word in vars(module) if not word.startswith("_")])
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"{param('head', name)}: module {module_name} has no class {attribute}{hint}")
    return getattr(module, attribute)


@contextmanager
def _told_of(name: str, what: str) -> Iterator[None]:
    """Raise a UsageError that says `what` the head `name` could not do, for whatever the user's code raises.

    That may be SystemExit, which would end the command without a word.
    """
    try:
        yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"head {name}: {what}: {_in_a_line(error)}") from error


def _in_a_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
