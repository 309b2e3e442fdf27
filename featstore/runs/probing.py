"""The probes of a run: what it answers to the same images, changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from featstore.datasets.manifest import Manifest
from featstore.errors import DataError, UsageError, param
from featstore.images.probe import Probe, parse_probe
from featstore.runs.predictor import Predictor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.evaluation.metrics import Metrics
    from featstore.evaluation.probes import Probing

OneOrMoreProbes: TypeAlias = str | Probe | Sequence[str | Probe]


def settle_probes(probes: OneOrMoreProbes) -> tuple[Probe, ...]:
    """Return the probes that are named; raises UsageError for one that is not known, or named twice."""
    several = [probes] if isinstance(probes, str | Probe) else list(probes)
    settled = [probe if isinstance(probe, Probe) else parse_probe(probe) for probe in several]
    if twice := [probe for place, probe in enumerate(settled) if probe in settled[:place]]:
        raise UsageError(f"{param('probe', str(twice[0]))}: is given twice")
    return tuple(settled)


def probe_split(
    predictor: Predictor,
    probes: Sequence[Probe],
    manifest: Manifest,
    split: str,
    places: Sequence[int],
    metrics: Metrics,
    probabilities: NDArray[np.float64],
) -> Probing:
    """Return the effects of `probes` on the images of one split.

    manifest: all images. places: of those of the split. metrics, probabilities: of the split and of all images, as they
    are. Raises DataError if an image cannot be changed: figures on other images could not be compared.
    """
    from featstore.evaluation.probes import compare_probes
    from featstore.features.arrays import classes_of, units_of

    pictures = [manifest.pictures[place] for place in places]
    some = manifest.with_pictures(pictures)
    changed = {}
    for probe in probes:
        extraction = predictor.complete(some, probe)
        if len(extraction.manifest) < len(pictures):
            path, reason = extraction.manifest.skipped[-1]
            raise DataError(f"{path}: cannot be changed for {param('probe', str(probe))}: {reason}; leave it out")
        changed[probe] = predictor.predict(extraction.manifest.pictures, extraction)
    truth = classes_of(pictures, predictor.run.classes)
    return compare_probes(split, metrics, probabilities[list(places)], changed, truth, units_of(pictures))
