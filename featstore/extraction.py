"""The main job: run a base over the images whose rows are missing, and store the rows.

The base is handed in as a function (`Task.encode`), so this module knows none and can be tested with a fake one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from featstore.errors import StoreError
from featstore.fetching import Fetched, Read, default_threads, fetch_all
from featstore.images.digests import DigestMemory
from featstore.images.manifest import Manifest, Picture, Skipped
from featstore.shelf import Shelf, Task
from featstore.store.rowid import row_id


class Progress(Protocol):
    """Told about each image once."""

    def start(self, total: int, reused: int) -> None: ...

    def advance(self, computed: bool) -> None: ...


class Silent:
    """A Progress that shows nothing."""

    def start(self, total: int, reused: int) -> None: ...

    def advance(self, computed: bool) -> None: ...


class Outcome(NamedTuple):
    """What a run did: `computed` rows and `seconds` per task; the seconds add up to the time of the run.

    `manifest` holds the pictures that have their rows, each with its digest; all others are in its `skipped`.
    """

    manifest: Manifest
    computed: tuple[int, ...]
    seconds: tuple[float, ...]


def run(
    manifest: Manifest,
    tasks: Sequence[Task],
    make_reader: Callable[[tuple[int, ...]], Read],
    memory: DigestMemory,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Outcome:
    """Complete the rows of all `tasks` for all images of `manifest`.

    An image whose rows are all stored costs one look-up of its stat. However the run ends, the rows that the base has
    made are stored first. `make_reader` is called only if an image has to be read, with the numbers of all views; the
    reader gives them along the first axis.
    """
    start = time.perf_counter()
    shelves = [Shelf(task) for task in tasks]
    views = tuple(sorted({view for task in tasks for view in task.views}))
    done: dict[str, Picture] = {}
    skipped: list[Skipped] = []
    try:
        unread = _take_remembered(manifest, shelves, memory, done)
        for item in _fetch(unread, len(manifest), shelves, make_reader, views, progress or Silent(), threads):
            picture = item.picture
            if picture.digest is None:
                skipped.append(Skipped(picture.path, item.reason or ""))
                continue
            done[picture.path] = picture
            memory.remember(picture.path, picture.stat, picture.digest)
            pixels = {} if item.pixels is None else dict(zip(views, item.pixels, strict=True))
            for shelf in shelves:
                for view in shelf.task.views:
                    shelf.take(row_id(picture.digest, view), pixels.get(view))
        for shelf in shelves:
            shelf.finish()
    except StoreError:  # storing again would meet the same full disk
        raise
    except BaseException:
        for shelf in shelves:
            shelf.store_rows()
        raise
    finally:
        memory.save()
        for shelf in shelves:
            shelf.task.store.save_index()
    return _outcome(manifest, done, skipped, shelves, time.perf_counter() - start)


def _take_remembered(
    manifest: Manifest, shelves: Sequence[Shelf], memory: DigestMemory, done: dict[str, Picture]
) -> list[Picture]:
    """Take what needs no pixels, by its remembered digest; the pictures that have to be read come back."""
    unread = []
    for picture in manifest.pictures:
        digest = memory.get(picture.path, picture.stat)
        lacking = [(shelf, row) for shelf in shelves for row in shelf.task.rows(digest or "") if shelf.lacks(row)]
        if digest is None or any(shelf.needs_pixels(row) for shelf, row in lacking):
            unread.append(picture)
            continue
        done[picture.path] = Picture(*picture[:5], digest)
        for shelf, row in lacking:
            shelf.take(row, None)
    return unread


def _needs_pixels(shelves: Sequence[Shelf], digest: str) -> bool:
    return any(shelf.needs_pixels(row) for shelf in shelves for row in shelf.task.rows(digest))


def _fetch(
    unread: Sequence[Picture],
    total: int,
    shelves: Sequence[Shelf],
    make_reader: Callable[[tuple[int, ...]], Read],
    views: tuple[int, ...],
    progress: Progress,
    threads: int | None,
) -> Iterator[Fetched]:
    """The files of `unread`, read; pixels only where a shelf needs them."""
    progress.start(total, reused=total - len(unread))
    if not unread:
        return

    def needed(digest: str) -> bool:
        return _needs_pixels(shelves, digest)

    for item in fetch_all(unread, make_reader(views), needed, threads or default_threads(), len(views)):
        yield item
        progress.advance(computed=item.pixels is not None)


def _outcome(
    manifest: Manifest, done: dict[str, Picture], skipped: list[Skipped], shelves: Sequence[Shelf], wall: float
) -> Outcome:
    refused = {row: reason for shelf in shelves for row, reason in shelf.refused.items()}
    kept = []
    for picture in (done[p.path] for p in manifest.pictures if p.path in done):
        rows = (row for shelf in shelves for row in shelf.task.rows(picture.digest or ""))
        reason = next((refused[row] for row in rows if row in refused), None) if refused else None
        if reason is None:
            kept.append(picture)
        else:  # one line for each copy of the image
            skipped.append(Skipped(picture.path, reason))
    shared = (wall - sum(shelf.seconds for shelf in shelves)) / len(shelves)
    return Outcome(
        manifest.with_pictures(kept, skipped),
        tuple(shelf.computed for shelf in shelves),
        tuple(shelf.seconds + shared for shelf in shelves),
    )
