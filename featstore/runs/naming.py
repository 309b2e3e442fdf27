"""The default name of a run: its data, its base and its head, and all in which they differ from the usual."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from featstore.heads.registry import entry_of, make_head
from featstore.runs.run import Run
from featstore.spec import LAST_ACTIVATION

_MOST_DATA = 60  # characters of the name of the data set
_MOST_REST = 60  # characters of what differs; more become a digest, which tells two runs apart as well


def default_name(run: Run) -> str:
    """Return a name such as `photos-MobileNetV2-tf-224-bn-dropout-p0.6-seed1`, or that of a fine-tuned run.

    Raises UsageError for a run whose base or head is not known.
    """
    if run.fine_tuning:
        return f"{run.fine_tuning.head_run.name}-tuned"
    usual = make_head(run.head).settings()
    bases, left = [], run.specs
    for recipe in run.recipes:
        base, variant_size_key = left[0].folder.split("/")
        model = Path(recipe.model).stem if recipe.source(must_exist=False).is_file else base
        bases.append(f"{model}-{variant_size_key.rsplit('-', 1)[0]}")
        left = left[recipe.sizes :]
    data = Path(run.data).stem[:_MOST_DATA]
    return "-".join(
        [data, "+".join(bases), *_short(_features(run)), run.head.rpartition(":")[2], *_short(_training(run, usual))]
    )


def _features(run: Run) -> Iterator[str]:
    """Yield in what the features of the first base differ from those that the head has by default."""
    recipe, spec, reading = run.recipes[0], run.specs[0], run.specs[0].reading
    usual_pool = entry_of(run.head).pool or ("none" if recipe.source(must_exist=False).is_pixels else "avg")
    if recipe.weights == "random":
        yield "random"
    if recipe.views != "one":
        yield recipe.views.replace(":", "")
    if spec.layer != LAST_ACTIVATION:
        yield spec.layer
    if spec.pool != usual_pool:
        yield "map" if spec.pool == "none" else spec.pool
    if reading.fit != ("crop" if reading.resize else "squash"):
        yield reading.fit
    if recipe.resize is not None:
        yield f"resize{recipe.resize}"
    if recipe.scales:
        yield f"scales{recipe.scales.replace(',', '+')}"
    usually = (
        (reading.interpolation, "bilinear"),
        (reading.name, "pillow"),
        (spec.dtype, "float16"),
        (spec.precision, "float32"),
    )
    for value, usual in usually:
        if value != usual:
            yield value


def _training(run: Run, usual: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what the training differs from the default; `usual` are the parameters of the head."""
    words = {name: _text(value) for name, value in run.parameters.items()}  # in JSON a tuple became a list
    changed = sorted(name for name, word in words.items() if word != _text(usual.get(name)))  # as run.json has them
    yield from (f"{name}{words[name]}" for name in changed)
    if run.train_on == "all" and not run.recipes[0].views.startswith("augment"):
        yield "all-views"
    if run.average != "probabilities":
        yield f"mean-{run.average}"
    if run.seed:
        yield f"seed{run.seed}"


def _short(words: Iterator[str]) -> list[str]:
    """Return words that can stand in the name of a folder, or a digest of them if they are long."""
    clean = [re.sub(r"[^\w.+-]+", "_", word) for word in words]
    if len("-".join(clean)) <= _MOST_REST:
        return clean
    return [hashlib.sha256("-".join(clean).encode()).hexdigest()[:8]]


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "+".join(map(_text, value))
    if isinstance(value, Mapping):
        return "+".join(f"{name}{_text(part)}" for name, part in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
