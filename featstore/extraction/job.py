"""The main job: run a base over the images whose rows are missing, and store the rows.

The base is handed in as a function (`Task.encode`), so this module knows none and can be tested with a fake one.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.errors import StoreError, UnreadableImage
from featstore.extraction.writer import Shelf, Task
from featstore.images.prefetch import Read, fetch_all
from featstore.store.rowid import RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.system.environment import default_threads
from featstore.system.progress import Progress, Silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAIT_SECONDS = 0.25  # between looks at what other processes have stored
WAIT_SECONDS_EACH = 1e-4  # the same for each image that is looked for: ten times what a look costs


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

    An image whose rows are all stored costs one look-up of its stat. Images that another process is making are left to
    it, and waited for at the end. However the run ends, the rows that the base has made are stored first. `make_reader`
    is called only if an image has to be read, with the numbers of all views, which its reader gives along axis 0.
    """
    start = time.perf_counter()
    progress = progress or Silent()
    with ExitStack() as stack:
        shelves = [Shelf(task, stack.enter_context(task.store.writing(lambda: progress.hold()))) for task in tasks]
        views = tuple(sorted({view for task in tasks for view in task.views}))
        job = _Job(shelves, views, make_reader, memory, progress, threads or default_threads())
        stack.callback(memory.save)
        stack.callback(job.end)
        try:
            unread = job.take_remembered(manifest.pictures)
            job.progress.start(len(manifest), reused=len(manifest) - len(unread))
            claimed = job.read(unread)
            while claimed:
                claimed = job.wait_for_others(claimed)
            for shelf in shelves:
                shelf.finish()
        except StoreError:  # storing again would meet the same full disk
            raise
        except BaseException:
            for shelf in shelves:
                shelf.store_rows()
            raise
    return _outcome(manifest, job.done, job.skipped, shelves, time.perf_counter() - start)


@dataclass
class _Job:
    """A run under way. `done` has the pictures whose rows are stored or being made, by path."""

    shelves: Sequence[Shelf]
    views: tuple[int, ...]
    make_reader: Callable[[tuple[int, ...]], Read]
    memory: DigestMemory
    progress: Progress
    threads: int
    done: dict[str, Picture] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    refused: int = 0  # rows that the base spoilt, so far
    claiming: threading.Lock = field(default_factory=threading.Lock)
    ended: bool = False

    @cached_property
    def stores(self) -> list[tuple[RowStore, tuple[int, ...]]]:
        return [(shelf.task.store, shelf.task.views) for shelf in self.shelves]

    def take_remembered(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Take the pictures that need no pixels, by their remembered digests; return those that have to be read."""
        unread = []
        for picture in pictures:
            digest = self.memory.get(picture.path, picture.stat)
            if digest is not None and self._is_stored(digest):
                self.done[picture.path] = picture.with_digest(digest)
            elif digest is None or not self._take_stored(picture, digest):
                unread.append(picture)
        return unread

    def read(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Read `pictures` and take those that this process makes; return those of other processes, with digests."""
        if not pictures:
            return []
        claimed = []
        read = self._reader()
        for item in fetch_all(pictures, read, self._claims, self.threads, len(self.views)):
            if item.reason is not None:
                self.skipped.append(Skipped(item.picture.path, item.reason))
            elif self._take(item.picture, item.pixels):
                self.memory.remember(item.picture.path, item.picture.stat, item.picture.digest)
            else:
                claimed.append(item.picture)
                continue
            self.progress.advance(computed=item.pixels is not None)
            self._release_refused()
        return claimed

    def wait_for_others(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Take what others have stored of `pictures`, and read what they left; return the rest, after a while.

        A process that waits has stored its own rows and claims none, so that two never wait for each other.
        """
        for shelf in self.shelves:
            shelf.finish()
            shelf.writer.claims.release_all()
        free = [self._is_free(picture.digest) for picture in pictures]
        self._refresh()  # after that: a process stores a row before it releases the claim
        left: list[Picture] = []
        claimed: list[Picture] = []
        for picture, is_free in zip(pictures, free, strict=True):
            if self._take_stored(picture, picture.digest):
                self.memory.remember(picture.path, picture.stat, picture.digest)
                self.progress.advance(computed=False)
            else:
                (left if is_free else claimed).append(picture)
        if claimed and not left:
            self.progress.wait(len(claimed))
            time.sleep(max(WAIT_SECONDS, WAIT_SECONDS_EACH * len(claimed)))
        return claimed + self.read(left)

    def end(self) -> None:
        """Claim nothing any more: threads may still be at work on what they were given."""
        with self.claiming:
            self.ended = True

    def _refresh(self) -> None:
        for shelf in self.shelves:
            shelf.task.store.refresh()

    def _is_stored(self, digest: str) -> bool:
        """Whether all rows are on disk: what is asked first, ten thousand times where there is nothing to do."""
        return all(row_id(digest, view) in store for store, views in self.stores for view in views)

    def _take_stored(self, picture: Picture, digest: str) -> bool:
        """Take a picture with this digest unless it has to be read."""
        lacking = [(shelf, row) for shelf, row in self._rows(digest) if shelf.lacks(row)]
        if any(shelf.needs_pixels(row) for shelf, row in lacking):
            return False
        for shelf, row in lacking:
            shelf.take(row, None)
        self.done[picture.path] = picture.with_digest(digest)
        return True

    def _take(self, picture: Picture, pixels: NDArray[Any] | None) -> bool:
        """Take a picture that was read; False if some row of it is being made by another process."""
        self._refresh()
        rows = {} if pixels is None else dict(zip(self.views, pixels, strict=True))
        complete = True
        for shelf in self.shelves:
            for view in shelf.task.views:
                row = row_id(picture.digest, view)
                if shelf.needs_pixels(row) and (view not in rows or not shelf.claims(row)):
                    complete = False
                else:
                    shelf.take(row, rows.get(view))
        if complete:
            self.done[picture.path] = picture
        return complete

    def _claims(self, digest: str) -> bool:
        """Claim all rows of an image that need its pixels; whether there are any."""
        with self.claiming:
            rows = () if self.ended else self._rows(digest)
            claimed = [shelf.claims(row) for shelf, row in rows]
        return any(claimed)

    def _is_free(self, digest: str) -> bool:
        """Whether there is a row to claim. It is left unclaimed: others who wait may take their share of the rest."""
        rows = self._rows(digest)
        return any(shelf.needs_pixels(row) and shelf.writer.claims.is_free(row) for shelf, row in rows)

    def _reader(self) -> Read:
        """Return a reader that releases the claims on what cannot be read, so that nobody waits for it."""
        read = self.make_reader(self.views)

        def read_or_release(raw: bytes) -> NDArray[Any]:
            try:
                return read(raw)
            except UnreadableImage:
                for shelf, row in self._rows(hashlib.sha256(raw).hexdigest()):
                    shelf.writer.claims.release([row])
                raise

        return read_or_release

    def _release_refused(self) -> None:
        """Release the claims on rows with NaN or infinity, so that nobody waits for them."""
        refused = sum(len(shelf.refused) for shelf in self.shelves)
        if refused > self.refused:
            for shelf in self.shelves:
                shelf.writer.claims.release(shelf.refused)
            self.refused = refused

    def _rows(self, digest: str) -> list[tuple[Shelf, RowId]]:
        return [(shelf, row) for shelf in self.shelves for row in shelf.task.rows(digest)]


def _outcome(
    manifest: Manifest, done: dict[str, Picture], skipped: list[Skipped], shelves: Sequence[Shelf], wall: float
) -> Outcome:
    refused = {row: reason for shelf in shelves for row, reason in shelf.refused.items()}
    kept = []
    for picture in (done[p.path] for p in manifest.pictures if p.path in done):
        rows = (row for shelf in shelves for row in shelf.task.rows(picture.digest))
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
