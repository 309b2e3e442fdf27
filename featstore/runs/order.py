"""The orders in which runs are listed. The last line is what the reader of a terminal sees first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from featstore.runs.run import Run

Order = Literal["date", "name", "accuracy"]


def held_out_split(run: Run) -> str | None:
    """Return the split of a run that says most about other images; None if nothing was measured."""
    return next((name for name in ("test", "val", "train") if name in run.metrics), None)


def place_in(order: Order, run: Run) -> tuple[Any, ...]:
    """Return what runs are sorted by."""
    if order == "name":
        return (run.folder.name,)
    if order == "accuracy":
        split = held_out_split(run)
        return run.metrics[split].accuracy if split else -1.0, run.folder
    return run.date or "", run.folder
