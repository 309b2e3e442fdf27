"""The bookkeeping of the driver: which images have been asked for, and what has been answered.

Ray says that a run has finished that has answered nothing. So the driver counts: an image is done if an answer says so,
skipped if an answer says why, and else it is asked for again. The images of a block that has ended its workers are
asked for one by one, so that the file that did it costs nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from featstore.bases.source import BATCH
from featstore.cluster.work import Answer, Block
from featstore.datasets.manifest import Picture, Skipped
from featstore.errors import StoreError
from featstore.extraction.canary import NAMES
from featstore.system.text import count

MOST_IMAGES = 2048  # in a block: 8 MB of rows of 2,048 numbers in float16
BLOCKS_EACH = 4  # for each worker at least, so that all end at about the same time
IDLE_ROUNDS = 2  # without any answer, before the job is given up
MOST_FATAL = 32  # images, before any is done: then it is not the images that end the workers
FATAL = "ends the process that reads it, each time that it is tried"

TakeAnswer = Callable[[Answer], None]
AskAll = Callable[[Sequence[Block], TakeAnswer], None]  # returns when Ray says that it has finished


class Questions:
    """The images that are asked for, by path, until each is answered.

    done: those that have their rows, by the path that they were asked for with. skipped: the others.
    """

    def __init__(self, pictures: Sequence[Picture], workers: int) -> None:
        self._open = {picture.path: picture for picture in pictures}
        self._suspects: set[str] = set()
        self._workers = workers
        self._blocks: dict[int, Block] = {}
        self._numbers = self._fatal = 0
        self.done: dict[str, Picture] = {}
        self.skipped: list[Skipped] = []

    def ask(self, ask_all: AskAll, take: TakeAnswer = lambda answer: None) -> None:
        """Ask until all is answered; `take` is given each answer.

        Raises StoreError if nothing is answered any more, or if workers end with whatever they try.
        """

        def settle(answer: Answer) -> None:
            self._settle(answer)
            take(answer)

        idle = 0
        while self._open:
            before = len(self._open), len(self._suspects)
            ask_all(self._make_blocks(), settle)
            idle = 0 if (len(self._open), len(self._suspects)) != before else idle + 1
            if idle == IDLE_ROUNDS:
                raise StoreError(
                    f"Ray has ended {idle} times without an answer for {count(len(self._open), 'image')}, the first: "
                    f"{next(iter(self._open))}; run the same command again, or without Ray"
                )

    def _make_blocks(self) -> list[Block]:
        """Return what is open in blocks: suspects alone, the others together."""
        plain = [picture for path, picture in self._open.items() if path not in self._suspects]
        size = _whole_batches(min(MOST_IMAGES, -(-len(plain) // (BLOCKS_EACH * self._workers))))
        parts = [tuple(plain[start : start + size]) for start in range(0, len(plain), size)]
        parts += [(self._open[path],) for path in self._open if path in self._suspects]
        blocks = [Block(number, part) for number, part in enumerate(parts, start=self._numbers)]
        self._numbers += len(blocks)
        self._blocks = {block.number: block for block in blocks}
        return blocks

    def _settle(self, answer: Answer) -> None:
        """Take an answer in; a second one to the same block changes nothing."""
        block = self._blocks.pop(answer.number, None)
        if block is None:
            return
        if answer.end == "fatal" and len(block.pictures) == 1:
            self._skip(Skipped(block.pictures[0].path, FATAL))
            self._fatal += 1
            if self._fatal == MOST_FATAL and not self.done:
                raise StoreError(
                    f"each worker on Ray has ended with each of {MOST_FATAL} images and none is done, the last: "
                    f"{block.pictures[0].path}; look whether the base fits into the memory of a worker"
                )
        elif answer.end == "fatal":
            self._suspects |= {picture.path for picture in block.pictures}
        for picture in answer.complete:
            if self._open.pop(picture.path, None) is not None:
                self.done[picture.path] = picture
        for skipped in answer.skipped:
            self._skip(skipped)

    def _skip(self, skipped: Skipped) -> None:
        if self._open.pop(skipped.path, None) is not None:
            self.skipped.append(skipped)


def _whole_batches(images: int) -> int:
    """Return the nearest larger number of images that fills batches: the canary is in the first one of each block."""
    canary = len(NAMES)
    return -(-(images + canary) // BATCH) * BATCH - canary
