"""What workers are asked, and what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from featstore.datasets.manifest import Picture, Skipped
    from featstore.extraction.cache import Cache
    from featstore.extraction.divided import Costs
    from featstore.extraction.pipeline import Needed


class Task(NamedTuple):
    """What all workers of a run do: complete the rows `needed`, of bases that fit into memory together.

    cache: by its absolute path, or by its URL. threads: cores that each worker uses. images: how many each is expected
    to compute.
    """

    cache: Cache
    needed: tuple[Needed, ...]
    threads: int
    images: int


class Block(NamedTuple):
    """Images that one worker does together. Their paths are absolute; digests are those that are known."""

    number: int
    pictures: tuple[Picture, ...]


class Seen(NamedTuple):
    """An image that was read, with its digest; grain: of its time stamps, as `DigestMemory.remember` takes it."""

    picture: Picture
    grain: int | None


class Answer(NamedTuple):
    """What has become of a block; what is said of an image that is done holds: its rows are stored.

    end: `done`; `fatal`, since it has ended its worker each time that it was tried; or `stopped`, since the job was.
    complete: the images that have their rows. seen: of the images that were read. skipped: those that cannot be used.
    """

    number: int
    end: Literal["done", "fatal", "stopped"]
    complete: tuple[Picture, ...] = ()
    seen: tuple[Seen, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    costs: Costs | None = None
