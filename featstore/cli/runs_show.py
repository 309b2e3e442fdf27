"""`featstore runs show`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featstore.cli import options
from featstore.cli.console import print_json, print_table, say
from featstore.cli.show import describe
from featstore.system.figures import megabytes

if TYPE_CHECKING:
    from featstore.runs.run import Run


def command(run: options.RunFolder, json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Show a run: what its training printed, its settings, what made it, and its files.

    Example: featstore runs show runs/photos-MobileNetV2-tf-224-logistic
    """
    from featstore.runs.files import load_run

    found = load_run(run)
    if json:
        print_json(_describe(found))
        return
    if quiet:  # it can be read, which is all that the exit code says
        return
    print(found)
    for text in found.notes:
        say(f"note: {text}")
    print()
    print_table(("setting", "value"), [(name, value) for name, value in _settings(found).items() if value != "-"])
    print()
    print_table(("file", "MB"), [(name, megabytes(size)) for name, size in _files(found).items()])


def _settings(run: Run) -> dict[str, str]:
    from featstore.runs.settings import settings_of

    places = {"cache": str(run.cache or "-"), "key": run.key, "date": run.date or "-", "command": run.command or "-"}
    made_by = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    return settings_of(run) | {"classes": ", ".join(run.classes)} | places | {"versions": made_by}


def _files(run: Run) -> dict[str, int]:
    """Return the sizes of the files of a run by name, and of whatever else is in its folder."""
    return {path.name: path.lstat().st_size for path in sorted(run.folder.iterdir())}


def _describe(run: Run) -> dict[str, Any]:
    more = {
        "data": run.data,
        "cache": str(run.cache) if run.cache else None,
        "fractions": run.fractions,
        "train_on": run.train_on,
        "average": run.average,
        "recipes": [recipe.describe() for recipe in run.recipes],
        "specs": [spec.describe() for spec in run.specs],
        "versions": run.versions,
        "files": _files(run),
    }
    return describe(run) | more
