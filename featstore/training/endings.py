"""The end of a training that is interrupted: its best epoch is saved all the same, and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from featstore.errors import FeatstoreError
from featstore.runs.folders import publications
from featstore.runs.run import Run

if TYPE_CHECKING:
    from featstore.system.progress import Progress

_AGAIN = "the same command begins the training again from the start"


@contextmanager
def saved_if_interrupted(
    is_trained: Callable[[], bool], save: Callable[[], Run], progress: Progress | None = None
) -> Iterator[None]:
    """Run a training and the saving of its run. If an exception ends either, save what was learnt by then.

    The exception goes on, with a note that says what was kept, where, and what the same command does.

    is_trained: whether there is anything to save. save: called once more if it failed or was interrupted itself before
    the run had its name. A second interruption ends it, and nothing is saved.
    """
    try:
        with publications() as published:
            yield
    except BaseException as stop:  # Ctrl-C, a loss that is not finite, or a full disk
        if published:
            stop.add_note(f"{_describe(published[-1])}; {_AGAIN}")
        elif is_trained():
            if progress and not isinstance(stop, Exception):
                progress.tell("interrupted: saving the best so far; interrupt once more to leave without it")
            try:
                stop.add_note(f"{_describe(save())}; {_AGAIN}")
            except FeatstoreError as error:
                if not isinstance(stop, Exception):  # else saving failed before, and that is told
                    stop.add_note(f"the best so far could not be saved: {error}; {_AGAIN}")
        elif not isinstance(stop, Exception):
            stop.add_note(f"no epoch made it better yet, so no run is saved; {_AGAIN}")
        raise


def _describe(run: Run) -> str:
    if not run.interrupted:
        return f"the training was complete: it is saved in {run.folder}"
    return f"the best of the {run.chosen['epochs']} epochs so far is saved in {run.folder}, marked as interrupted"
