"""featstore: extract bottleneck features once, cache them safely, train heads in seconds.

Names are loaded when they are first used, and none of them loads TensorFlow before a network has to run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a type checker and an editor see; a test holds it against _HOMES
    from featstore.api.auditing import audit as audit
    from featstore.api.base_checking import check_base as check_base
    from featstore.api.comparing import compare as compare
    from featstore.api.diagnosing import doctor as doctor
    from featstore.api.evaluating import evaluate as evaluate
    from featstore.api.explaining import explain as explain
    from featstore.api.extracting import extract as extract
    from featstore.api.fine_tuning import fine_tune as fine_tune
    from featstore.api.head_training import train_head as train_head
    from featstore.api.learning import learning_curve as learning_curve
    from featstore.api.predicting import predict as predict
    from featstore.api.rate_finding import find_lr as find_lr
    from featstore.api.reporting import report as report
    from featstore.api.reporting import report_runs as report_runs
    from featstore.api.run_comparing import compare_runs as compare_runs
    from featstore.api.sweeping import sweep as sweep
    from featstore.auditing.result import Audit as Audit
    from featstore.base_check.labelled import LabelledCheck as LabelledCheck
    from featstore.base_check.unlabelled import UnlabelledCheck as UnlabelledCheck
    from featstore.comparison.learning_result import LearningCurve as LearningCurve
    from featstore.comparison.result import Comparison as Comparison
    from featstore.datasets.manifest import Manifest as Manifest
    from featstore.datasets.sources import scan as scan
    from featstore.datasets.splits import complete_splits as complete_splits
    from featstore.diagnosis.result import Diagnosis as Diagnosis
    from featstore.errors import BaseUnavailable as BaseUnavailable
    from featstore.errors import ClusterUnavailable as ClusterUnavailable
    from featstore.errors import DataError as DataError
    from featstore.errors import FeatstoreError as FeatstoreError
    from featstore.errors import LeakWarning as LeakWarning
    from featstore.errors import RunError as RunError
    from featstore.errors import StoreError as StoreError
    from featstore.errors import UnreadableImage as UnreadableImage
    from featstore.errors import UsageError as UsageError
    from featstore.explanation.explained import Explained as Explained
    from featstore.extraction.cache import Cache as Cache
    from featstore.extraction.pipeline import Extraction as Extraction
    from featstore.extraction.recipe import Recipe as Recipe
    from featstore.features.bottleneck import Bottleneck as Bottleneck
    from featstore.features.load import load_features as load_features
    from featstore.features.load import open_features as open_features
    from featstore.features.save import save_features as save_features
    from featstore.finetuning.result import FineTuned as FineTuned
    from featstore.reporting.result import Report as Report
    from featstore.runs.evaluation import Evaluation as Evaluation
    from featstore.runs.files import load_run as load_run
    from featstore.runs.listing import RunList as RunList
    from featstore.runs.listing import list_runs as list_runs
    from featstore.runs.prediction import Prediction as Prediction
    from featstore.runs.run import Run as Run
    from featstore.runs.side_by_side import RunComparison as RunComparison
    from featstore.spec import FeatureSpec as FeatureSpec
    from featstore.sweeping.result import Sweep as Sweep
    from featstore.system.progress import Progress as Progress
    from featstore.system.text import Table as Table
    from featstore.training.rate_finding import FoundRate as FoundRate

_HOMES = {
    "Audit": "featstore.auditing.result",
    "BaseUnavailable": "featstore.errors",
    "Bottleneck": "featstore.features.bottleneck",
    "Cache": "featstore.extraction.cache",
    "ClusterUnavailable": "featstore.errors",
    "Comparison": "featstore.comparison.result",
    "DataError": "featstore.errors",
    "Diagnosis": "featstore.diagnosis.result",
    "Evaluation": "featstore.runs.evaluation",
    "Explained": "featstore.explanation.explained",
    "Extraction": "featstore.extraction.pipeline",
    "FeatstoreError": "featstore.errors",
    "FeatureSpec": "featstore.spec",
    "FineTuned": "featstore.finetuning.result",
    "FoundRate": "featstore.training.rate_finding",
    "LabelledCheck": "featstore.base_check.labelled",
    "LeakWarning": "featstore.errors",
    "LearningCurve": "featstore.comparison.learning_result",
    "Manifest": "featstore.datasets.manifest",
    "Prediction": "featstore.runs.prediction",
    "Progress": "featstore.system.progress",
    "Recipe": "featstore.extraction.recipe",
    "Report": "featstore.reporting.result",
    "Run": "featstore.runs.run",
    "RunComparison": "featstore.runs.side_by_side",
    "RunError": "featstore.errors",
    "RunList": "featstore.runs.listing",
    "StoreError": "featstore.errors",
    "Sweep": "featstore.sweeping.result",
    "Table": "featstore.system.text",
    "UnlabelledCheck": "featstore.base_check.unlabelled",
    "UnreadableImage": "featstore.errors",
    "UsageError": "featstore.errors",
    "audit": "featstore.api.auditing",
    "check_base": "featstore.api.base_checking",
    "compare": "featstore.api.comparing",
    "compare_runs": "featstore.api.run_comparing",
    "complete_splits": "featstore.datasets.splits",
    "doctor": "featstore.api.diagnosing",
    "evaluate": "featstore.api.evaluating",
    "explain": "featstore.api.explaining",
    "extract": "featstore.api.extracting",
    "find_lr": "featstore.api.rate_finding",
    "fine_tune": "featstore.api.fine_tuning",
    "learning_curve": "featstore.api.learning",
    "list_runs": "featstore.runs.listing",
    "load_features": "featstore.features.load",
    "load_run": "featstore.runs.files",
    "open_features": "featstore.features.load",
    "predict": "featstore.api.predicting",
    "report": "featstore.api.reporting",
    "report_runs": "featstore.api.reporting",
    "save_features": "featstore.features.save",
    "scan": "featstore.datasets.sources",
    "sweep": "featstore.api.sweeping",
    "train_head": "featstore.api.head_training",
}

__all__ = [
    "Audit",
    "BaseUnavailable",
    "Bottleneck",
    "Cache",
    "ClusterUnavailable",
    "Comparison",
    "DataError",
    "Diagnosis",
    "Evaluation",
    "Explained",
    "Extraction",
    "FeatstoreError",
    "FeatureSpec",
    "FineTuned",
    "FoundRate",
    "LabelledCheck",
    "LeakWarning",
    "LearningCurve",
    "Manifest",
    "Prediction",
    "Progress",
    "Recipe",
    "Report",
    "Run",
    "RunComparison",
    "RunError",
    "RunList",
    "StoreError",
    "Sweep",
    "Table",
    "UnlabelledCheck",
    "UnreadableImage",
    "UsageError",
    "audit",
    "check_base",
    "compare",
    "compare_runs",
    "complete_splits",
    "doctor",
    "evaluate",
    "explain",
    "extract",
    "find_lr",
    "fine_tune",
    "learning_curve",
    "list_runs",
    "load_features",
    "load_run",
    "open_features",
    "predict",
    "report",
    "report_runs",
    "save_features",
    "scan",
    "sweep",
    "train_head",
]
__version__ = "0.1.0"


if not TYPE_CHECKING:  # a module with __getattr__ is one whose every name exists, to a type checker

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'featstore' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
