"""Samples as WebDataset packs them: the files of a tar that share a name up to the first dot of it.

`0001.jpg` is the picture, `0001.cls` its label, or `label` or `class` in `0001.json` if there is no `.cls`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from featstore.datasets.file_names import has_image_name, is_junk
from featstore.datasets.manifest import Skipped
from featstore.datasets.tar_index import TarIndex
from featstore.system.member_paths import member_path

LABELS = (".cls", ".json")  # the first one that a sample has counts


class Sample(NamedTuple):
    """name: of the picture in the tar. label: None where there is none."""

    name: str
    label: str | None


@dataclass
class Samples:
    """The samples of a tar, in the order of the names of their pictures, and what is left out.

    alone: label files of samples without a picture. others: numbers of other files, by ending.
    """

    found: list[Sample] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


@dataclass
class _Files:
    pictures: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)  # name of the file, by its ending


def read_samples(tar: str, index: TarIndex) -> Samples:
    """Return the samples of a tar."""
    samples, by_key = Samples(), dict[str, _Files]()
    for name in sorted(index):
        folder, _, last = name.rpartition("/")
        if any(map(is_junk, name.split("/"))):
            continue
        stem, _, ending = last.partition(".")
        files = by_key.setdefault(f"{folder}/{stem}", _Files())
        if has_image_name(last):
            files.pictures.append(name)
        elif f".{ending.lower()}" in LABELS:
            files.labels[f".{ending.lower()}"] = name
        else:
            samples.others[f".{ending}" if ending else last] += 1
    for files in by_key.values():
        if (picture := _only_picture(tar, files, samples)) is not None:
            samples.found.append(Sample(picture, _label(files, index)))
        elif not files.pictures:
            samples.alone += files.labels.values()
    samples.found.sort()
    return samples


def _label(files: _Files, index: TarIndex) -> str | None:
    given = next((files.labels[ending] for ending in LABELS if ending in files.labels), "")
    return index.labels.get(given)


def _only_picture(tar: str, files: _Files, samples: Samples) -> str | None:
    """Return the one picture of a sample; of several, as of a photo and its mask, that whose name has one dot."""
    if len(files.pictures) < 2:
        return files.pictures[0] if files.pictures else None
    plain = [name for name in files.pictures if name.rpartition("/")[2].count(".") == 1]
    chosen = plain[0] if len(plain) == 1 else None
    for name in files.pictures:
        if name != chosen:
            reason = (
                f"is a further picture of the sample of {chosen}"
                if chosen
                else f"is one of {len(files.pictures)} pictures of one sample: give each a sample of its own"
            )
            samples.skipped.append(Skipped(member_path(tar, name), reason))
    return chosen
