"""How runs and metrics are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featstore.cli.console import print_table, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from featstore.evaluation.metrics import Metrics
    from featstore.runs.run import Run


def describe(run: Run) -> dict[str, Any]:
    """As `--json` prints a run."""
    from featstore.evaluation.metrics import describe_splits

    return {
        "run": str(run.folder),
        "head": run.head,
        "key": run.key,
        "classes": list(run.classes),
        "metrics": describe_splits(run.metrics),
        "seconds": run.seconds,
    }


def print_run(run: Run) -> None:
    """A line per split, and where the run is."""
    if views := explain_views(run):
        say(views)
    print_metrics(run.metrics)
    chosen = ", ".join(f"{key} {value:g}" for key, value in run.chosen.items())
    say(f"{run.head} ({chosen}): features {run.seconds['features']:.1f} s, fit {run.seconds['fit']:.1f} s")
    say(f"saved in {run.folder}")


def print_metrics(metrics: Mapping[str, Metrics]) -> None:
    """A line per split."""
    rows = []
    for split, m in metrics.items():
        low, high = m.accuracy_ci95
        top5 = [] if m.top5 is None else [f"{m.top5:.3f}"]
        rows.append([split, str(m.n), f"{m.accuracy:.3f}", f"{low:.3f} to {high:.3f}", *top5, f"{m.log_loss:.3f}"])
    has_top5 = any(m.top5 is not None for m in metrics.values())
    print_table(["split", "n", "accuracy", "95 % interval", *(["top-5"] if has_top5 else []), "log loss"], rows)


def explain_views(run: Run) -> str:
    """Which mode is in force, where an image has more rows than one."""
    recipe = run.recipes[0]
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
    trained = "every view" if run.train_on == "all" else "the plain view"
    return f"views: trained on {trained}; answers average the {run.average} of {seen}{sizes}"
