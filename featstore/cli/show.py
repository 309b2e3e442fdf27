"""Runs as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featstore.runs.run import Run


def describe(run: Run) -> dict[str, Any]:
    """Return a run as `--json` prints it."""
    from featstore.evaluation.metrics import describe_splits

    return {
        "run": str(run.folder),
        "date": run.date,
        "command": run.command,
        "interrupted": run.interrupted,
        "head": run.head,
        "parameters": run.parameters,
        "chosen": run.chosen,
        "temperature": run.temperature,
        "seed": run.seed,
        "key": run.key,
        "classes": list(run.classes),
        "metrics": describe_splits(run.metrics),
        "folds": run.folds and asdict(run.folds),
        "seconds": run.seconds,
        "notes": list(run.notes),
        "remarks": list(run.remarks),
    }
