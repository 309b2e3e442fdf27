"""Moves: images that earlier runs of the same data had in another split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from featstore.datasets.manifest import Manifest
from featstore.errors import RunError
from featstore.objects.urls import absolute
from featstore.runs.files import IMAGES, load_run, load_splits
from featstore.runs.folders import run_folders
from featstore.runs.hints import from_hint
from featstore.system.files import read_regular
from featstore.system.text import count

_NAMED = 3  # images in the note


class _Move(NamedTuple):
    path: str
    before: str
    now: str

    @property
    def between_train_and_test(self) -> bool:
        return {self.before, self.now} == {"train", "test"}


def moved_notes(root: Path, manifest: Manifest) -> tuple[str, ...]:
    """Return a line if runs below `root` had images of this data set in another split, else nothing."""
    labelled = [p for p in manifest.pictures if p.split and p.label is not None]
    # of several copies of an image, one in train counts, as in the splits that a run keeps
    now = {p.digest: p for p in sorted(labelled, key=lambda p: p.split == "train")}
    moves: dict[str, _Move] = {}
    others: list[Path] = []
    for folders in _alike(_runs_of(root, manifest.source)):
        with suppress(RunError):  # it is of no use for anything else either
            before = load_splits(load_run(folders[0]))
            found = {
                digest: _Move(p.path, before[digest], p.split)
                for digest, p in now.items()
                if p.split and before.get(digest, p.split) != p.split
            }
            others += folders if found else []
            moves = found | moves
    return (_describe(list(moves.values()), others),) if moves else ()


def _alike(runs: Iterable[Path]) -> Iterable[list[Path]]:
    """Return the runs with the same images in the same splits together: reading them takes most of the time."""
    by_content: dict[bytes, list[Path]] = {}
    for folder in runs:
        with suppress(OSError):
            content, _ = read_regular(folder / IMAGES)
            by_content.setdefault(hashlib.sha256(content).digest(), []).append(folder)
    return by_content.values()


def _runs_of(root: Path, data: str) -> list[Path]:
    """Return the folders of the finished runs of `data`, the latest first."""
    found: list[tuple[int, Path]] = []
    for folder in run_folders(root):
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            content, state = read_regular(folder / "run.json")
            if from_hint(json.loads(content)["data"], folder) == absolute(data):
                found.append((state.mtime_ns, folder))
    return [folder for _, folder in sorted(found, reverse=True)]


def _describe(moves: list[_Move], runs: list[Path]) -> str:
    moves.sort(key=lambda move: not move.between_train_and_test)
    moved = f"{count(len(moves), 'image')} {'is' if len(moves) == 1 else 'are'} in another split than in {runs[0]}"
    others = f" and {count(len(runs) - 1, 'earlier run')}" if runs[1:] else ""
    named = ", ".join(f"{move.path} ({move.before}, now {move.now})" for move in moves[:_NAMED])
    crossed = sum(move.between_train_and_test for move in moves)
    told = f" ({crossed} between train and test)" if crossed else ""
    return f"{moved}{others}{told}, such as {named}: figures of these runs cannot be compared with those of this one"
