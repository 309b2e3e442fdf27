"""A spec of features."""

from __future__ import annotations

from featstore.images.preprocessing import NAMED
from featstore.images.reading import Reading
from featstore.spec import FeatureSpec

SPEC = FeatureSpec("MobileNet", "ab" * 32, Reading(224, 224), NAMED["tf"], alpha=0.75)
