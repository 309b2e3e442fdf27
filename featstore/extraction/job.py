"""The main job: run networks over the images whose rows are missing, and store the rows.

The networks are arguments (`Pass.load`): this module knows none and is tested with fakes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.errors import StoreError, UnreadableImage
from featstore.extraction.passes import Pass, PassQueue
from featstore.extraction.writer import RowQueue
from featstore.images.identity import content_digest
from featstore.images.levels import Brightest
from featstore.images.prefetch import fetch_all
from featstore.store.rowid import RowId, row_id, row_ids
from featstore.store.rowstore import RowStore
from featstore.system.environment import default_threads
from featstore.system.imports import collection_paused
from featstore.system.progress import Progress, Silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

Views = Mapping[Any, tuple[int, ...]]  # the numbers of the views by reading
Pixels = Mapping[Any, "NDArray[Any]"]  # views (n, height, width, 3) by reading
MakeReader = Callable[[Views], Callable[[bytes], Pixels]]

SAVE_SECONDS = 300.0  # between two saves of the digests: a killed run reads again what it read since
SAVE_SHARE = 0.02  # of the time at most: in a folder of a million files a save takes a second and a half
WAIT_SECONDS = 0.25  # between looks at what other processes have stored
WAIT_SECONDS_EACH = 1e-4  # for each image waited for: ten times the cost of a look


class Outcome(NamedTuple):
    """The result of a run.

    manifest: the pictures that have all their rows, each with its digest; the others are in its `skipped`. computed:
    number of rows that a network made, per task of all passes. seconds: per task; they add up to the time of the run.
    brightest: of the grey images of 16 bits that were decoded, by path.
    """

    manifest: Manifest
    computed: tuple[int, ...]
    seconds: tuple[float, ...]
    brightest: dict[str, Brightest]


def run(
    manifest: Manifest,
    passes: Sequence[Pass],
    make_reader: MakeReader,
    memory: DigestMemory,
    progress: Progress | None = None,
    threads: int | None = None,
    title: str = "",
) -> Outcome:
    """Complete the rows of all tasks of `passes` for all images of `manifest`, reading each image once.

    An image whose rows are all stored costs one look-up by its stat. Images that another process has claimed are left
    to it, and waited for at the end. If the run is interrupted, the rows that are made are stored first.

    make_reader: takes the numbers of the views by reading, and returns a function from the bytes of a file to their
    pixels; it is called only if an image has to be read. memory: the digests of files that were read before. title:
    what is computed, which is told if anything is.
    """
    start = time.perf_counter()
    progress = progress or Silent()
    with ExitStack() as stack:
        queues = [_open(the_pass, stack, progress) for the_pass in passes]
        job = _Job(queues, make_reader, memory, progress, threads or default_threads())
        stack.callback(memory.save)
        stack.callback(job.stop_claiming)
        try:
            unread = job.complete_remembered(manifest.pictures)
            if unread and title:
                job.progress.tell(title)
            job.progress.start(len(manifest), reused=len(manifest) - len(unread))
            claimed = job.read(unread)
            while claimed:
                claimed = job.wait_for_others(claimed)
            for queue in queues:
                queue.flush()
        except StoreError:  # storing again would meet the same full disk
            raise
        except BaseException:
            for queue in queues:
                queue.stop()
            raise
    return _outcome(manifest, job, time.perf_counter() - start)


def _open(the_pass: Pass, stack: ExitStack, progress: Progress) -> PassQueue:
    """Return the queue of a pass, with a writer for each of its stores; leaving `stack` closes them."""
    queues: list[RowQueue] = []
    queue = PassQueue(the_pass, queues)
    for task in the_pass.tasks:
        queues.append(RowQueue(task, stack.enter_context(task.store.writing(lambda: progress.hold(), queue.made_with))))
    stack.callback(queue.close)
    return queue


@dataclass
class _Job:
    """The state of a run.

    done: the pictures whose rows are stored or in the queues, by path. refused: number of rows with NaN or infinity
    whose claims were released. brightest: see `Outcome`.
    """

    passes: Sequence[PassQueue]
    make_reader: MakeReader
    memory: DigestMemory
    progress: Progress
    threads: int
    done: dict[str, Picture] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    brightest: dict[str, Brightest] = field(default_factory=dict)
    refused: int = 0
    save_at: float = field(default_factory=lambda: time.monotonic() + SAVE_SECONDS)
    claim_lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False

    @cached_property
    def queues(self) -> list[RowQueue]:
        return [queue for each in self.passes for queue in each.queues]

    @cached_property
    def stores(self) -> list[tuple[RowStore, tuple[int, ...]]]:
        return [(queue.task.store, queue.task.views) for queue in self.queues]

    @cached_property
    def views(self) -> Views:
        """The numbers of the views by reading."""
        views: dict[Any, set[int]] = {}
        for each in self.passes:
            views.setdefault(each.the_pass.reading, set()).update(each.the_pass.views)
        return {reading: tuple(sorted(numbers)) for reading, numbers in views.items()}

    @collection_paused()
    def complete_remembered(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Complete the pictures that need no pixels, by their remembered digests; return those that must be read."""
        digests = self.memory.get_all((picture.path, picture.stat) for picture in pictures)
        stored = self._stored({digest for digest in digests if digest is not None})
        unread = []
        for picture, digest in zip(pictures, digests, strict=True):
            if digest in stored:
                self.done[picture.path] = picture.with_digest(digest)
            elif digest is None or not self._complete_without_pixels(picture, digest):
                unread.append(picture)
        return unread

    def read(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Read `pictures` and enqueue those that this process claims; return those that another one has claimed."""
        if not pictures:
            return []
        claimed = []
        read = self._reader()
        for each in self.passes:
            each.expected = len(pictures) * len(each.the_pass.views)
        for item in fetch_all(pictures, read, self._claim, self.threads, sum(map(len, self.views.values()))):
            if item.reason is not None:
                self.skipped.append(Skipped(item.picture.path, item.reason))
            else:
                self.memory.remember(item.picture.path, item.picture.stat, item.picture.digest, item.grain)
                self._save_digests()
                if not self._enqueue(item.picture, item.pixels):
                    claimed.append(item.picture)
                    continue
            if item.brightest is not None:
                self.brightest[item.picture.path] = item.brightest
            self.progress.advance(computed=item.pixels is not None)
            self._release_refused()
        return claimed

    def wait_for_others(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Complete the `pictures` that other processes have stored, and read those that they left.

        Return the rest, which are still claimed, after a pause. A process that waits has stored its rows and released
        its claims, so that two processes never wait for each other.
        """
        for each in self.passes:
            each.flush()
        for queue in self.queues:
            queue.writer.claims.release_all()
        free = [self._is_free(picture.digest) for picture in pictures]
        self._refresh()  # after `free`: a process stores a row before it releases its claim
        left: list[Picture] = []
        claimed: list[Picture] = []
        for picture, is_free in zip(pictures, free, strict=True):
            if self._complete_without_pixels(picture, picture.digest):
                self.progress.advance(computed=False)
            else:
                (left if is_free else claimed).append(picture)
        if claimed and not left:
            self.progress.wait(len(claimed))
            time.sleep(max(WAIT_SECONDS, WAIT_SECONDS_EACH * len(claimed)))
        return claimed + self.read(left)

    def _save_digests(self) -> None:
        """Save the digests if it is time."""
        start = time.monotonic()
        if start >= self.save_at:
            self.memory.save()
            end = time.monotonic()
            self.save_at = end + max(SAVE_SECONDS, (end - start) / SAVE_SHARE)

    def stop_claiming(self) -> None:
        """Make no more claims: threads may still be reading the files that they were given."""
        with self.claim_lock:
            self.stopped = True

    def _refresh(self) -> None:
        for queue in self.queues:
            queue.task.store.refresh()

    def _stored(self, digests: set[str]) -> set[str]:
        """Return the digests whose rows are all on disk. A run with nothing to do asks this, and nothing else."""
        stored = list(digests)
        for store, views in self.stores:
            for view in views:
                stored = list(compress(stored, store.which(row_ids(stored, view))))
        return set(stored)

    def _complete_without_pixels(self, picture: Picture, digest: str) -> bool:
        """Complete a picture from stored rows and maps; return False if it has to be read."""
        missing = [(queue, row) for queue, row in self._rows(digest) if queue.is_missing(row)]
        if any(queue.needs_pixels(row) for queue, row in missing):
            return False
        for queue, row in missing:
            queue.add_derived(row)
        self.done[picture.path] = picture.with_digest(digest)
        return True

    def _enqueue(self, picture: Picture, pixels: Pixels | None) -> bool:
        """Enqueue a picture that was read; return False if another process has claimed one of its rows."""
        self._refresh()
        complete = True
        for each in self.passes:
            reading = each.the_pass.reading
            shown = {} if pixels is None else dict(zip(self.views[reading], pixels[reading], strict=True))
            for view in each.the_pass.views:
                row, wanted = row_id(picture.digest, view), []
                for number, queue in enumerate(each.queues):
                    if view not in queue.task.views:
                        continue
                    if not queue.needs_pixels(row):
                        queue.add_derived(row)
                    elif view in shown and queue.claim(row):
                        wanted.append(number)
                    else:
                        complete = False
                if wanted:
                    each.add(row, shown[view], wanted)
        if complete:
            self.done[picture.path] = picture
        return complete

    def _claim(self, digest: str) -> bool:
        """Claim the rows of an image that need its pixels; return whether there are any."""
        with self.claim_lock:
            rows = () if self.stopped else self._rows(digest)
            claimed = [queue.claim(row) for queue, row in rows]
        return any(claimed)

    def _is_free(self, digest: str) -> bool:
        """Whether a row can be claimed. It is not claimed here, so that all processes that wait get a share."""
        rows = self._rows(digest)
        return any(queue.needs_pixels(row) and queue.writer.claims.is_free(row) for queue, row in rows)

    def _reader(self) -> Callable[[bytes], Pixels]:
        """Return a reader that releases the claims on images that cannot be read, so that nobody waits for them."""
        read = self.make_reader(self.views)

        def read_or_release(raw: bytes) -> Pixels:
            try:
                return read(raw)
            except UnreadableImage:
                for queue, row in self._rows(content_digest(raw)):
                    queue.writer.claims.release([row])
                raise

        return read_or_release

    def _release_refused(self) -> None:
        """Release the claims on rows with NaN or infinity, so that nobody waits for them."""
        refused = sum(len(queue.refused) for queue in self.queues)
        if refused > self.refused:
            for queue in self.queues:
                queue.writer.claims.release(queue.refused)
            self.refused = refused

    def _rows(self, digest: str) -> list[tuple[RowQueue, RowId]]:
        return [(queue, row) for queue in self.queues for row in queue.task.rows(digest)]


def _outcome(manifest: Manifest, job: _Job, wall: float) -> Outcome:
    """Return the result of a run; `wall` is its time in seconds."""
    refused = {row: reason for queue in job.queues for row, reason in queue.refused.items()}
    complete, skipped = [job.done[p.path] for p in manifest.pictures if p.path in job.done], job.skipped
    if refused:
        done, complete = complete, []
        for picture in done:
            rows = (row for queue in job.queues for row in queue.task.rows(picture.digest))
            if reason := next((refused[row] for row in rows if row in refused), None):
                skipped.append(Skipped(picture.path, reason))  # one line for each copy of the image
            else:
                complete.append(picture)
    busy = sum(each.seconds for each in job.passes)
    shares = [each.seconds / busy if busy else 1 / len(job.passes) for each in job.passes]
    return Outcome(
        manifest.with_pictures(complete, skipped),
        tuple(queue.computed for queue in job.queues),
        tuple(
            wall * share / len(each.queues) for each, share in zip(job.passes, shares, strict=True) for _ in each.queues
        ),
        job.brightest,
    )
