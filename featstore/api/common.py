"""What the verbs of the front door share: the types of their keywords, and their warnings."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

from featstore.datasets.options import DataKeywords
from featstore.errors import LeakWarning, UsageError
from featstore.extraction.recipe import CheckOptions, GridOptions
from featstore.finetuning.settings import FineTuneOptions
from featstore.system.paths import OnePath

if TYPE_CHECKING:
    from featstore.datasets.summary import DataSummary
    from featstore.runs.run import Run


class FeatureKeywords(GridOptions, DataKeywords, total=False):
    """The fields of a `Recipe` and those of `DataOptions`."""


class CheckKeywords(CheckOptions, DataKeywords, total=False):
    """The fields of a `Recipe` that a check takes and those of `DataOptions`."""


class TuneKeywords(FineTuneOptions, DataKeywords, total=False):
    """The fields of `FineTuneSettings` and those of `DataOptions`."""


def loaded(run: Run | OnePath) -> Run:
    """Return the run, loaded if a folder is given."""
    from featstore.runs.files import load_run
    from featstore.runs.run import Run

    return run if isinstance(run, Run) else load_run(run)


def refuse_head_parameters(options: Iterable[str]) -> None:
    """Raise UsageError for a keyword that is one of the `parameters` of a head, and say where it belongs."""
    from featstore.heads.parameters import parameter_named
    from featstore.heads.registry import all_parameters

    for word in options:
        if name := parameter_named(word, all_parameters()):
            raise UsageError(f"unknown option {word!r}: is a parameter of heads; give parameters={{{name!r}: ...}}")


def warn_of(notes: Iterable[str], data: DataSummary) -> None:
    """Warn of what makes figures wrong: all notes but the remarks about the data, which are kept with the result."""
    for note in notes:
        if note not in data.remarks:
            warnings.warn(note, LeakWarning, stacklevel=3)
