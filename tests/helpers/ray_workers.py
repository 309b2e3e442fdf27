"""Workers on Ray that have something wrong with them. They are pickled by value, as tests are not installed."""

from __future__ import annotations

import os
from typing import Any

from featstore.cluster.work import Answer, Block
from featstore.cluster.worker import KeptBases, Worker


class FatalWorker(Worker):
    """A process that ends with each file of this name, as a decoder that crashes does."""

    def _do(self, block: Block) -> Answer:
        if any(picture.path.endswith("fatal.png") for picture in block.pictures):
            os._exit(139)
        return super()._do(block)


class OtherWorker(Worker):
    """A process that computes other values on the nodes `others`."""

    others: tuple[str, ...] = ()

    def __init__(self, foreman: Any, task: bytes) -> None:
        super().__init__(foreman, task)
        if self._place.node in self.others:
            self._bases = OtherBases(self._task.images)


class OtherBases(KeptBases):
    """Bases whose features are 1 % larger."""

    def load(self, *arguments: Any, **options: Any) -> Any:
        network = super().load(*arguments, **options)

        class Other:
            engine, batch, calls = network.engine, network.batch, network.calls

            def __call__(self, images: Any) -> Any:
                return tuple(1.01 * rows for rows in network(images))

        return Other()
