"""A worker: one process of Ray that completes the rows of block after block, with bases that stay loaded.

What it answers is stored, so Ray may lose a worker at any time: its last block is done again, less what is stored.
"""

from __future__ import annotations

import os
import pickle
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featstore.cluster.digest_notes import DigestNotes
from featstore.cluster.foreman import MOST_TRIES, Place
from featstore.cluster.work import Answer, Block, Task
from featstore.datasets.manifest import Manifest
from featstore.extraction.divided import Costs
from featstore.extraction.encoder import load_encoder
from featstore.extraction.pipeline import complete_rows
from featstore.extraction.told import News, Reporter
from featstore.store.object_claims import VARIABLE as CLAIMS_VARIABLE
from featstore.system.environment import limit_threads

if TYPE_CHECKING:
    from featstore.bases.source import BaseSource
    from featstore.engines.network import Network
    from featstore.spec import FeatureSpec

_REFUSED_SECONDS = 60  # until a refused worker gives its block back, if nobody has ended it by then


class Stopped(BaseException):
    """The job was stopped: what is made is to be stored."""


class Worker:
    """What Ray makes one of for each place in the crew, and calls with block after block.

    foreman: the actor that all workers tell how far they are.
    """

    def __init__(self, foreman: Any, task: bytes) -> None:
        import ray

        os.environ[CLAIMS_VARIABLE] = "off"  # the driver has parted the images
        context: Any = ray.get_runtime_context()
        self._foreman = foreman
        self._place = Place(context.get_actor_id(), context.get_node_id(), socket.gethostname(), os.getpid())
        self._tell("join", self._place, context.current_actor)
        self._task: Task = pickle.loads(task)
        self._bases = KeptBases(self._task.images)
        _use_threads(self._task.threads)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        block: Block = pickle.loads(row["block"])
        tries = self._tell("begin", block.number, self._place)
        if tries < 0:
            answer = Answer(block.number, "stopped")
        elif tries >= MOST_TRIES:
            answer = Answer(block.number, "fatal")
        else:
            answer = self._do(block)
        self._tell("end", block.number)
        return {"answer": pickle.dumps(answer)}

    def _do(self, block: Block) -> Answer:
        try:
            return complete_block(self._task, block, self._bases, self._report)
        except Stopped:
            return Answer(block.number, "stopped")
        except Exception as error:  # whatever it is, this process cannot do the work, and others may
            self._tell("refuse", self._place, str(error) or repr(error))
            time.sleep(_REFUSED_SECONDS)  # the driver ends this process; it is to take no more blocks till then
            raise

    def _tell(self, name: str, *what: object) -> Any:
        """Call a method of the foreman, and return what it says."""
        import ray

        return ray.get(getattr(self._foreman, name).remote(*what))

    def _report(self, news: News) -> None:
        if not self._tell("tell", news):
            raise Stopped


class KeptBases:
    """Bases that stay loaded from one block to the next. images: how many they are expected to compute in all."""

    def __init__(self, images: int) -> None:
        self._images = images
        self._loaded: dict[tuple[BaseSource, tuple[FeatureSpec, ...]], Network] = {}

    def load(self, source: BaseSource, specs: Sequence[FeatureSpec], images: int, **options: Any) -> Network:
        """Return a base, as `load_encoder` does."""
        name = source, tuple(specs)
        if name not in self._loaded:
            self._loaded[name] = load_encoder(source, specs, max(images, self._images), **options)
        return self._loaded[name]


def complete_block(task: Task, block: Block, bases: KeptBases, report: Any) -> Answer:
    """Complete the rows of a block, and return what there is to account."""
    notes, progress = DigestNotes(block.pictures), Reporter(report)
    done = complete_rows(Manifest("", block.pictures), task.needed, task.cache, progress, memory=notes, load=bases.load)
    progress.flush()
    costs = Costs(brightest=done.brightest)
    costs.add_sets(done.features)
    return Answer(block.number, "done", done.manifest.pictures, tuple(notes.seen), done.manifest.skipped, costs)


def _use_threads(threads: int) -> None:
    """Keep so many cores busy, and no more: TensorFlow would take all that it sees."""
    limit_threads(threads)
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several workers may share a GPU
