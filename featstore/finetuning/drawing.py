"""The picture of the network of a run: the frozen base, the cache, and the layers of the head with their shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featstore.errors import UsageError
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.resolve import weights_state
from featstore.heads.registry import check_network
from featstore.plots.files import Kind
from featstore.runs.recipes import cache_of, plans_of, weights_wanted
from featstore.runs.run import Run
from featstore.runs.titles import title_of
from featstore.system.paths import OneOrMorePaths
from featstore.system.pinned import pinned
from featstore.system.tensorflow_loader import load_tensorflow

if TYPE_CHECKING:
    from featstore.finetuning.diagram import Diagram


@pinned()
def draw_run(run: Run, kind: Kind = "png", *, weights: OneOrMorePaths | None = None, cache: CacheLike = None) -> bytes:
    """Return a picture of the network of `run`. The base is built for it, so TensorFlow loads.

    Raises:
        UsageError: The run has several bases, or is fine-tuned, so that its folder has the picture already.
        RunError: The base or its weights are not those of the run.
    """
    from featstore.plots.network import draw_network

    if run.fine_tuning:
        raise UsageError(f"{run.folder}: is fine-tuned, and has the pictures network.png and network.svg already")
    check_network(run.head)
    if len({spec.weights for spec in run.specs}) > 1:
        raise UsageError(f"{run.folder}: has {len(run.recipes)} bases side by side; only one base can be drawn")
    with weights_wanted(run, weights):
        diagram = _describe(run, weights, cache_of(run, cache, None))
    title = f"{title_of(run)}, the base frozen"
    return draw_network(diagram.parts, title, kind, image=diagram.image, cached=diagram.cached)


def _describe(run: Run, weights: OneOrMorePaths | None, cache: Cache) -> Diagram:
    plan, spec = plans_of(run, weights, cache, read_weights=True)[0], run.specs[0]
    source, head = plan.recipe.source(), run.load_head()
    load_tensorflow()
    from featstore.finetuning.diagram import describe_head
    from featstore.finetuning.network import Body

    if source.is_pixels:
        return describe_head(None, head.network(head.row_shape))
    body = Body(source, spec, weights_state(source, spec.reading.height, spec.reading.width))
    return describe_head(body, head.network(tuple(side or 0 for side in body.shape)))
