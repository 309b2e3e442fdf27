"""The summary of a data set: classes and counts in one line, and the notes, told before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from featstore.datasets.manifest import SPLITS, Manifest
from featstore.datasets.notes import leak_notes, remarks
from featstore.system.progress import Progress

_NAMED = 10  # classes that are named in the line


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """What a data set holds, and what is worth knowing about it.

    Attributes:
        layout: How it was understood, in a few words.
        counts: Number of images of each class by split; the split is None before splits are made.
        unlabelled: Number of images without a label by split.
        lost: Class folders of which no image is used.
        leaks: Lines about images that make figures too good.
        remarks: Lines about all else.
    """

    layout: str
    counts: Mapping[str, Mapping[str | None, int]]
    unlabelled: Mapping[str | None, int]
    lost: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Leaks and remarks."""
        return (*self.leaks, *self.remarks)

    @property
    def splits(self) -> list[str]:
        """The splits that have labelled images."""
        return [split for split in SPLITS if any(split in of_split for of_split in self.counts.values())]

    def line(self) -> str:
        """Return one line: `2 classes: cats 300/100/200, dogs 300/100/200 (train/val/test)`."""
        splits = f" ({'/'.join(self.splits)})" if self.splits else ""
        labels = f"{len(self.counts)} class{'' if len(self.counts) == 1 else 'es'}: {self._describe_classes()}{splits}"
        without = ", ".join(
            f"{number:,}{f' {split}' if split else ''}" for split, number in sorted(self.unlabelled.items(), key=str)
        )
        parts = [labels] if self.counts else []
        return "; ".join([*parts, *([f"without labels: {without}"] if without else [])]) or "no images"

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "layout": self.layout,
            "classes": {
                name: {"images": sum(of_split.values())} | {split or "unsplit": n for split, n in of_split.items()}
                for name, of_split in self.counts.items()
            },
            "unlabelled": {split or "unsplit": number for split, number in self.unlabelled.items()},
            "lost": list(self.lost),
            "notes": list(self.notes),
        }

    def tell(self, progress: Progress | None) -> None:
        """Tell the line and the notes; a display tells none of them twice."""
        if progress is not None:
            for text in (self.line(), *(f"warning: {note}" for note in self.notes)):
                progress.tell(text)

    def _describe_classes(self) -> str:
        if len(self.counts) <= _NAMED:
            return ", ".join(f"{name} {self._figures(of_split)}" for name, of_split in self.counts.items())
        sizes = {name: sum(of_split.values()) for name, of_split in self.counts.items()}
        smallest, largest = (pick(sizes, key=lambda name: sizes[name]) for pick in (min, max))
        total: Counter[str | None] = Counter()
        for of_split in self.counts.values():
            total.update(of_split)
        return (
            f"{self._figures(total)} images, from {sizes[smallest]:,} of {smallest} to {sizes[largest]:,} of {largest}"
        )

    def _figures(self, of_split: Mapping[str | None, int]) -> str:
        """Return the counts by split, `300/100/200`, or the only one."""
        splits: list[str | None] = [*self.splits] or [None]
        return "/".join(f"{of_split.get(split, 0):,}" for split in splits)


def summarize(manifest: Manifest) -> DataSummary:
    """Return the summary of a data set. Leaks are found once its images have been read."""
    counts: dict[str, Counter[str | None]] = {name: Counter() for name in manifest.classes}
    unlabelled: Counter[str | None] = Counter()
    for (label, split), number in Counter((p.label, p.split) for p in manifest.pictures).items():
        (unlabelled if label is None else counts[label])[split] += number
    was_read = all(picture.known_digest is not None for picture in manifest.pictures)
    return DataSummary(
        layout=manifest.layout,
        counts=counts,
        unlabelled=unlabelled,
        lost=manifest.lost,
        leaks=leak_notes(manifest) if was_read else (),
        remarks=remarks(manifest),
    )
