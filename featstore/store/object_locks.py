"""How writers, and those who remove shards, keep out of each other's way on object storage: by signs of life.

Writers do not need this for their rows to be right: a row is never changed, a shard has the name of its bytes, and
readers that miss one list again. They show a sign so that nothing is removed while they work, and before they store
they wait for the end of a removal.

Of two who remove and come at once, at least one sees the other's sign, so at most one goes on.

What if a process stops for longer than its sign lives, and goes on? Before each removal it sees by its own clock
whether its sign may be void, and gives up. If it stops between this look and the request, or if the request comes that
late, the removal falls into the work of another. It removes a shard by its name, whose rows were stored in another one
before, or were to be pruned. At worst that other one was merged back since into bytes of the first name, or another
process has computed the rows again: then they are gone, and are computed once more. A wrong row cannot come of it,
since nothing is ever changed under a name.

A writer that stops as long before its shard is stored may find the key pruned, and begun again by a process whose
libraries compute other values. So it looks at `spec.json` once more, and takes its shard back if that is another one.
What is left is a PUT that the server carries out more than a minute after it was sent, when the writer has given up.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import sleep

from featstore.errors import StoreError
from featstore.objects.bucket import ObjectError
from featstore.objects.urls import Url
from featstore.store.layout import CLAIMS
from featstore.store.object_signs import ALONE, BEAT_SECONDS, WRITER, Sign, call_every

WAIT_SECONDS = 2.0  # between two looks at who has the folder alone


class ObjectWriterLock:
    """The sign of a writer. It is renewed by `acquire`, which each `append` calls."""

    def __init__(self, folder: Url) -> None:
        self._folder = folder
        self._sign: Sign | None = None

    def acquire(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait until nobody holds the folder alone; `on_wait` is called once if it has to wait.

        Does nothing if the sign is young, or if none can be written: then no shard can be written either.
        """
        if self._sign is not None and self._sign.age < BEAT_SECONDS:
            return
        with suppress(ObjectError):
            self._sign = self._sign or Sign(self._folder / CLAIMS, WRITER)
            self._sign.show()
            living, void = self._sign.look()
            if void:
                self._sign.remove(void)
            if any(other.kind == ALONE for other in living):
                on_wait()
            while any(other.kind == ALONE for other in living):
                sleep(WAIT_SECONDS)
                if self._sign.age >= BEAT_SECONDS:
                    self._sign.show()
                living, _ = self._sign.look()

    def release(self) -> None:
        if self._sign is not None:
            self._sign.withdraw()
            self._sign = None


class Hold:
    """Holds the folder alone in a `with` block."""

    def __init__(self, folder: Url) -> None:
        self._folder = folder
        self.sign = Sign(folder / CLAIMS, ALONE)
        self._stop: Callable[[], None] = lambda: None
        self._in_doubt = False

    def __enter__(self) -> Hold:
        """Raises StoreError if the folder is in use, or if that cannot be found out."""
        try:
            self.sign.show()
            living, _ = self.sign.look()
        except ObjectError as error:
            self.sign.withdraw()
            raise StoreError(f"{self._folder}: cannot be held: {error.strerror}; nothing was changed") from error
        if any(other.kind in (WRITER, ALONE) for other in living):
            self.sign.withdraw()
            raise StoreError(
                f"{self._folder}: in use by another process (one that was killed counts for a minute): try again "
                "later; nothing was changed"
            )
        self._stop = call_every(BEAT_SECONDS, self.sign.renew, lambda: None)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()
        if not self._in_doubt:
            self.sign.withdraw()

    def check(self) -> None:
        """Raise StoreError if others may take the folder for free by now."""
        if not self.sign.can_be_relied_on:
            raise StoreError(
                f"{self._folder}: this process, or the server, has not answered for so long that others may be at work "
                "there by now: run the same command again"
            )

    def doubt(self) -> None:
        """Note that a request to remove something may still be under way.

        The sign then stays until it is void, a minute after the end, so that the request meets nobody's work.
        """
        self._in_doubt = True
