"""The survey of a data set: all that can be known of it before an extraction, and how long one would take.

Every file is read. Those whose digest is not remembered are decoded too, so what is unreadable here is unreadable in an
extraction. TensorFlow loads only for a forecast, which runs a base on a few images to measure its speed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.datasets.sources import as_manifest
from featstore.datasets.splits import complete_splits
from featstore.datasets.summary import DataSummary, summarize
from featstore.errors import DataError
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.forecast import Forecast, forecast
from featstore.extraction.recipe import Recipe
from featstore.images.decode import decode_rgb, open_image
from featstore.images.prefetch import fetch_all
from featstore.system.environment import default_threads
from featstore.system.paths import OnePath
from featstore.system.progress import Progress, Silent
from featstore.system.text import Shown, count, listed

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Size(NamedTuple):
    """The size of an image in pixels, as it is stored."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, kw_only=True)
class Survey(Shown):
    """What a data set holds; `print` shows it in a few lines.

    Attributes:
        manifest: The images that can be read, with digests; `manifest.skipped` lists the other files.
        data: Classes and counts by split, leaks and other notes.
        splits: The classes and counts with the splits that would be made, or why nothing can be trained on them; empty
            where the data set has its own splits.
        formats: Number of images of each file format.
        sizes: Number of images of each size.
        copies: Paths of files with the same bytes, group by group.
        forecasts: How long the extraction of each recipe would take.
    """

    manifest: Manifest
    data: DataSummary
    splits: str
    formats: Mapping[str, int]
    sizes: Mapping[Size, int]
    copies: tuple[tuple[str, ...], ...]
    forecasts: tuple[Forecast, ...]

    def parts(self) -> Iterator[str]:
        """Yield the lines, the most general first."""
        yield f"{self.manifest.source}: {self.data.layout or 'images'}"
        yield self.data.line()
        if self.splits:
            yield self.splits
        formats = ", ".join(f"{name} {number:,}" for name, number in self.formats.items())
        yield f"{count(len(self.manifest), 'image')} can be read: {formats}; {self._describe_sizes()}"
        if self.copies:
            files = sum(map(len, self.copies))
            yield (
                f"{files:,} files are copies of one another, {count(len(self.copies), 'different image')}, such as "
                f"{listed(self.copies[0], 2)}"
            )
        yield from (f"note: {note}" for note in self.data.notes)
        yield from (f"forecast: {made}" for made in self.forecasts)

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values, as `featstore scan --json` prints them."""
        return {
            "data": self.data.describe(),
            "splits": self.splits,
            "images": len(self.manifest),
            "formats": dict(self.formats),
            "sizes": [{"width": w, "height": h, "images": number} for (w, h), number in self.sizes.items()],
            "copies": [list(group) for group in self.copies],
            "forecasts": [made.describe() for made in self.forecasts],
            "skipped": [item._asdict() for item in self.manifest.skipped],
        }

    def _describe_sizes(self) -> str:
        by_area = sorted(self.sizes, key=lambda size: (size.width * size.height, size))
        if len(by_area) == 1:
            return f"all {by_area[0]} px"
        commonest, number = max(self.sizes.items(), key=lambda item: item[1])
        return f"{by_area[0]} to {by_area[-1]} px (width x height), {number:,} of them {commonest}"


def survey(
    data: OnePath | Manifest,
    recipes: Sequence[Recipe] = (),
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Survey:
    """Read all images of `data` and describe them; run a trial for each of `recipes`.

    Digests are remembered in the cache, so an extraction need not find them again. Raises DataError if the layout is
    not known or no image can be read, and the errors of an extraction for `recipes`.
    """
    cache, progress = Cache.at(cache), progress or Silent()
    manifest, facts = _read(as_manifest(data), cache.digests, progress)
    if not manifest.pictures:
        path, reason = manifest.skipped[0]
        raise DataError(f"{manifest.source}: no image can be read; the first: {path}: {reason}")
    return Survey(
        manifest=manifest,
        data=summarize(manifest),
        splits=_describe_splits(manifest),
        formats=_counted(name for name, _ in facts),
        sizes=_counted(size for _, size in facts),
        copies=_find_copies(manifest),
        forecasts=tuple(forecast(manifest, recipe, cache, progress) for recipe in recipes),
    )


def _read(manifest: Manifest, memory: DigestMemory, progress: Progress) -> tuple[Manifest, list[tuple[str, Size]]]:
    """Return the images that can be read, with digests, and the format and size of each."""
    memory.refresh()
    known = {p.path for p in manifest.pictures if memory.get(p.path, p.stat) is not None}
    on_step = progress.steps("reading", "images")
    pictures: dict[str, Picture] = {}
    facts: list[tuple[str, Size]] = []
    skipped: list[Skipped] = []
    done = 0
    for is_known, look in ((True, _look_at_header), (False, _decode)):
        some = [p for p in manifest.pictures if (p.path in known) == is_known]
        for item in fetch_all(some, look, lambda digest: True, default_threads()):
            done += 1
            on_step(done, len(manifest))
            if item.reason is not None or item.pixels is None:
                skipped.append(Skipped(item.picture.path, item.reason or ""))
                continue
            memory.remember(item.picture.path, item.picture.stat, item.picture.digest, item.grain)
            pictures[item.picture.path] = item.picture
            name, width, height = item.pixels
            facts.append((name, Size(width, height)))
    memory.save()
    return manifest.with_pictures([pictures[p.path] for p in manifest.pictures if p.path in pictures], skipped), facts


def _look_at_header(raw: bytes) -> NDArray[Any]:
    """Return (format, width, height) in an array, which is what a reader of `fetch_all` returns."""
    import numpy as np

    image = open_image(raw)
    return np.array([image.format, *image.size], object)


def _decode(raw: bytes) -> NDArray[Any]:
    """Return the same of an image all of whose pixels can be decoded."""
    decode_rgb(raw)
    return _look_at_header(raw)


def _counted(items: Iterator[Any]) -> dict[Any, int]:
    return dict(Counter(items).most_common())


def _find_copies(manifest: Manifest) -> tuple[tuple[str, ...], ...]:
    paths: dict[str, list[str]] = defaultdict(list)
    for picture in manifest.pictures:
        paths[picture.digest].append(picture.path)
    return tuple(tuple(group) for group in paths.values() if len(group) > 1)


def _describe_splits(manifest: Manifest) -> str:
    """Return what `train-head` would make of a data set without splits, with its own fractions."""
    given = {p.split for p in manifest.pictures if p.label is not None}
    if "train" in given and "val" in given:
        return ""
    try:
        return f"to be trained on as: {summarize(complete_splits(manifest)).line()}"
    except DataError as error:
        return f"not to be trained on: {error}"
