"""The shape of what `--json` prints: names and types, without the values. Programs that read it rely on it.

python tests/helpers/json_shapes.py    writes the shapes that the test compares with, after a change that is wanted
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers.cli import call
from helpers.photos import draw, write_photos

FILE = Path(__file__).resolve().parents[1] / "cli" / "json_shapes.json"
Shape = Any  # "number|null" for what is no list and no object, [shape of the items], {name: shape}
# Objects whose names are data, such as splits, classes and heads: their values have one shape, under "*".
_BY_DATA = {"metrics", "metrics_before", "metrics_after", "per_class", "never_found", "probabilities"}
_BY_DATA |= {"classes", "formats", "unlabelled", "head", "network", "gains", "explanations"}
_OPEN = {"parameters", "chosen", "versions", "default", "figures"}  # each head has its own
# Each machine has its own.
_OPEN |= {"core_limit", "limit", "file_system", "weights_files", "variables", "keras_file_backend", "seconds_by_engine"}
_OPEN |= {"problems", "gpus", "installed", "chosen_by_engine"}
# What several commands print has one entry in the file: "see metrics". What is there depends on the figures.
_SHARED = {"metrics": "metrics", "metrics_before": "metrics", "metrics_after": "metrics", "per_class": "per_class"}

_PIXELS = ("--model", "pixels", "--size", "4")
_TINY = ("--model", "tiny")
# What is run, in this order, in a folder with `photos`, a file among them that cannot be read, `new`, and `some.csv`,
# a table of the photos that has no label for some.
LIGHT: dict[str, tuple[str, ...]] = {
    "models": ("models",),
    "heads": ("heads",),
    "doctor": ("doctor",),
    "scan": ("scan", "photos", *_PIXELS),
    "extract": ("extract", "photos", *_PIXELS),
    "features": ("features", "photos", *_PIXELS, "--out", "photos.npz"),
    "train-head": ("train-head", "photos", *_PIXELS, "--set", "C=0.1", "--name", "first"),
    "audit": ("audit", "photos", *_PIXELS),
    "compare": ("compare", "photos", *_PIXELS, "--head", "logistic", "--set", "C=0.1", "--folds", "2", "--seeds", "2"),
    "evaluate": ("evaluate", "runs/first", "some.csv", "--probe", "greyscale", "--wrong", "99"),
    "predict": ("predict", "runs/first", "new"),
    "explain": ("explain", "runs/first", "photos/discs/000.png", "new"),
    "sweep": ("sweep", "photos", *_PIXELS, "--head", "ridge", "--trials", "2", "--name", "second"),
    "learning-curve": ("learning-curve", "photos", *_PIXELS, "--set", "C=0.1"),
    "runs ls": ("runs", "ls"),
    "runs show": ("runs", "show", "runs/first"),
    "runs compare": ("runs", "compare", "runs/first", "runs/second"),
    "report": ("report", "photos", *_PIXELS, "--head", "ridge", "--trials", "2", "--name", "third"),
    "cache ls": ("cache", "ls"),
    "cache explain": ("cache", "explain", "photos", *_PIXELS),
    "cache verify": ("cache", "verify"),
    "cache repair": ("cache", "repair"),
    "cache compact": ("cache", "compact"),
    "runs rm": ("runs", "rm", "runs/second", "--yes"),
    "cache prune": ("cache", "prune", "--max-size", "1K"),
}
WITH_TENSORFLOW: dict[str, tuple[str, ...]] = {
    "draw": ("draw", "runs/tiny"),
    "find-lr": ("find-lr", "photos", *_PIXELS, "--head", "linear"),
    "check-base": ("check-base", "photos", *_TINY),
    "fine-tune": ("fine-tune", "runs/tiny", "photos", "--epochs", "1"),
}
TINY_RUN = ("train-head", "photos", *_TINY, "--set", "C=0.1", "--name", "tiny")  # before those with TensorFlow


def shapes_of(commands: Mapping[str, tuple[str, ...]]) -> dict[str, Shape]:
    """Run the commands in the working folder, and return the shape of what each prints."""
    found: dict[str, Shape] = {}
    for name, words in commands.items():
        done = call(*words, "--json")
        assert done.code == 0, f"{name}: {done.err}"
        found |= shapes_in(name, done.out, found)
    return found


def shapes_in(command: str, printed: str, known: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the shape of what a command `printed`, and of what it shares with those that are `known`."""
    shared = {name: known.get(name) for name in _SHARED.values()}
    shape = _shape_of(json.loads(printed), "", shared)
    return {command: shape} | {name: value for name, value in shared.items() if value is not None}


def _shape_of(value: Any, name: str, shared: dict[str, Shape]) -> Shape:
    """Return the shape of a value of JSON, which is under `name` in an object; add to what is `shared`."""
    if name in _OPEN:
        return "anything"
    if isinstance(value, Mapping):
        if name not in _BY_DATA:
            return {key: _shape_of(item, key, shared) for key, item in sorted(value.items())}
        return {"*": _merged_shape(value.values(), name, shared)}
    if isinstance(value, list):
        items = _merged_shape(value, name if name in _SHARED else "", shared)
        return [] if items is None else [items]
    if value is None:
        return "null"
    return {bool: "true or false", int: "number", float: "number", str: "text"}[type(value)]


def _merged_shape(values: Iterable[Any], name: str, shared: dict[str, Shape]) -> Shape:
    """Return the shape that all of `values` have; None without any."""
    merged = reduce(
        _merged, (_shape_of(value, "" if isinstance(value, Mapping) else name, shared) for value in values), None
    )
    if name not in _SHARED or not isinstance(merged, dict):
        return merged
    shared[_SHARED[name]] = _merged(shared[_SHARED[name]], merged)
    return f"see {_SHARED[name]}"


def _merged(one: Shape, other: Shape) -> Shape:
    """Return the shape of what has one of two shapes; a name with ? is not always there."""
    if one is None or other is None or one == other:
        return other if one is None else one
    if isinstance(one, list) and isinstance(other, list):
        return [reduce(_merged, one + other)]
    if isinstance(one, dict) and isinstance(other, dict):
        always = {name for name in one if name in other and not name.endswith("?")}
        bare = [{name.rstrip("?"): shape for name, shape in shapes.items()} for shapes in (one, other)]
        return {
            name if name in always else f"{name}?": _merged(bare[0].get(name), bare[1].get(name))
            for name in sorted(bare[0].keys() | bare[1].keys())
        }
    assert isinstance(one, str), f"{one} and {other} have no shape in common: null, or left out?"
    assert isinstance(other, str), f"{one} and {other} have no shape in common: null, or left out?"
    return "|".join(sorted({*one.split("|"), *other.split("|")}))


def write_data(folder: Path) -> None:
    """Write the images that the commands are run on."""
    write_photos(folder / "photos", 50)
    (folder / "photos" / "discs" / "broken.png").write_bytes(b"no image")
    paths = sorted(path.relative_to(folder) for path in (folder / "photos").glob("*/*"))
    lines = [f"{path},{'' if path.stem.endswith('7') else path.parent.name}" for path in paths]
    (folder / "some.csv").write_text("\n".join(["path,label", *lines]))
    (folder / "new").mkdir()
    draw("discs", 500).save(folder / "new" / "0.png")


def changes(found: Mapping[str, Shape]) -> list[str]:
    """Return a line for each place where what commands print is not as it is in the file."""
    kept = json.loads(FILE.read_text())
    return [line for name, shape in found.items() for line in misfits(kept.get(name, {}), shape, f"{name}: ")]


def misfits(kept: Shape, found: Shape, place: str = "") -> Iterator[str]:
    """Yield a line for each place where what was `found` is not as it was `kept`; less than all may be there."""
    if isinstance(kept, dict) and isinstance(found, dict):
        names = {name.rstrip("?"): name for name in found}
        for name in kept:
            if not name.endswith("?") and name not in names:
                yield f"{place}{name} is gone, or not always there"
        for bare, name in names.items():
            known = next((kept[each] for each in (bare, f"{bare}?") if each in kept), None)
            if known is None and bare != "*":
                yield f"{place}{bare} is new"
            else:
                yield from misfits(known, found[name], f"{place}{bare}.")
    elif isinstance(kept, list) and isinstance(found, list):
        yield from misfits(kept[0] if kept else None, found[0] if found else None, f"{place}[].")
    elif found is not None and not (_parts(found) and _parts(found) <= _parts(kept)):
        yield f"{place.rstrip('.')} was {json.dumps(kept)}, is {json.dumps(found)}"


def _parts(shape: Shape) -> set[str]:
    return set(shape.split("|")) if isinstance(shape, str) else set()


def main() -> None:
    """Write the shapes of all commands; Git shows what is different from before."""
    os.environ.pop("FEATSTORE_CACHE", None)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_data(Path(folder))
        found = shapes_of({**LIGHT, "": TINY_RUN, **WITH_TENSORFLOW, "quickstart": ("quickstart",)})
        os.chdir(FILE.parent)
    del found[""]
    FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
