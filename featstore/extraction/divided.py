"""A job whose rows other processes compute: which images lack rows, and what was computed elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from featstore.datasets.manifest import Picture
from featstore.extraction.cache import Cache
from featstore.extraction.pipeline import Extraction, FeatureSet
from featstore.extraction.plan import PlannedRows
from featstore.images.levels import notes_on_levels
from featstore.store.rowid import row_id

if TYPE_CHECKING:
    from featstore.datasets.digests import DigestMemory
    from featstore.images.levels import Brightest


@dataclass
class Costs:
    """What was computed elsewhere.

    rows: rows that were computed, and the time of their networks in seconds, by key. brightest: as in `Extraction`.
    """

    rows: dict[str, tuple[int, float]] = field(default_factory=dict)
    brightest: dict[str, Brightest] = field(default_factory=dict)

    def add_sets(self, sets: Iterable[FeatureSet]) -> None:
        for each in sets:
            self._add(each.spec.key, each.computed, each.seconds)

    def add(self, other: Costs) -> None:
        for key, (rows, seconds) in other.rows.items():
            self._add(key, rows, seconds)
        self.brightest |= other.brightest

    def account(self, extraction: Extraction, wall: float) -> Extraction:
        """Return `extraction` with these rows and the `wall` seconds that they took; it has computed the others.

        Of several sets with one key, the first has computed its rows. A row may have been made twice, as claims may
        fail and a process may die before it tells: no set has more than it has rows.
        """
        left, busy = dict(self.rows), sum(seconds for _, seconds in self.rows.values())
        features = []
        for each in extraction.features:
            rows, seconds = left.pop(each.spec.key, (0, 0.0))
            computed = min(each.computed + rows, each.rows)
            features.append(
                replace(each, computed=computed, seconds=each.seconds + (wall * seconds / busy if busy else 0.0))
            )
        brightest = {**extraction.brightest, **self.brightest}
        readings = dict.fromkeys(part.spec.reading for plan in extraction.plans for part in plan.parts)
        notes = [note for reading in readings for note in notes_on_levels(brightest, reading)]
        manifest = replace(extraction.manifest, notes=tuple(dict.fromkeys((*extraction.manifest.notes, *notes))))
        return replace(extraction, manifest=manifest, features=tuple(features), brightest=brightest)

    def _add(self, key: str, rows: int, seconds: float) -> None:
        computed, busy = self.rows.get(key, (0, 0.0))
        self.rows[key] = computed + rows, busy + seconds


def lacking(
    pictures: Sequence[Picture], parts: Sequence[PlannedRows], cache: Cache, memory: DigestMemory | None = None
) -> list[Picture]:
    """Return the pictures that lack a row, or whose digest is not remembered.

    memory: the digests of files, if not those of the cache.
    """
    stores = [(cache.store(spec), views) for spec, views in parts]
    digests = (memory or cache.digests).get_all((picture.path, picture.stat) for picture in pictures)

    def is_complete(digest: str | None) -> bool:
        return digest is not None and all(row_id(digest, view) in store for store, views in stores for view in views)

    return [picture for picture, digest in zip(pictures, digests, strict=True) if not is_complete(digest)]
