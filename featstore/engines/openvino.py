"""A base on OpenVINO: the same graph as on TensorFlow, compiled for the processor or for a graphics card of Intel.

OpenVINO takes lower precision by itself where the processor has it, so the precision is always said. Throughput comes
from streams: each computes a batch of its own on its share of the cores, so as many calls run at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.engines.network import Outputs
from featstore.engines.openvino_loader import load_openvino
from featstore.spec import Precision
from featstore.system.environment import default_threads

_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVINONetwork:
    """A model of OpenVINO from float32 pixels to features: see `Network`.

    It is compiled for the type of pixels in its first call, so that bytes need not be converted here. A call with more
    images than a batch spreads them over the streams.
    """

    def __init__(self, model: Any, precision: Precision, batch: int, device: str = "CPU") -> None:
        """`model` may have batches of any size; it is not changed."""
        self.engine = f"openvino {version('openvino')}"
        self.batch = batch
        self._ov = load_openvino()
        self._model, self._device = model, device
        self._settings: dict[str, str | int] = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "THROUGHPUT",
        }
        if device == "CPU":
            self._settings["INFERENCE_NUM_THREADS"] = default_threads()
        self._streams: dict[np.dtype[Any], _Streams] = {}
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    @property
    def calls(self) -> int:
        """Number of streams; before the first call the number of cores."""
        with self._lock:
            return max((streams.number for streams in self._streams.values()), default=default_threads())

    def __call__(self, images: NDArray[Any]) -> Outputs:
        streams = self._streams_for(images)
        batches = [images[i : i + self.batch] for i in range(0, len(images), self.batch)]
        if len(batches) == 1:
            return tuple(streams.run(batches[0], self.batch))
        with self._lock:
            self._threads = self._threads or ThreadPoolExecutor(streams.number, "featstore-openvino")
        rows = list(self._threads.map(lambda some: streams.run(some, self.batch), batches))
        return tuple(np.concatenate(parts) for parts in zip(*rows, strict=True))

    def _streams_for(self, images: NDArray[Any]) -> _Streams:
        with self._lock:
            if images.dtype not in self._streams:
                self._streams[images.dtype] = _Streams(self._compile(images))
            return self._streams[images.dtype]

    def _compile(self, images: NDArray[Any]) -> Any:
        model = self._model.clone()
        if images.dtype != np.float32:
            pixels = self._ov.preprocess.PrePostProcessor(model)
            pixels.input().tensor().set_element_type(self._ov.Type(images.dtype))
            model = pixels.build()
        model.reshape([self.batch, *images.shape[1:]])
        return self._ov.Core().compile_model(model, self._device, self._settings)


class _Streams:
    """The requests of a compiled model, one for each stream: a call borrows one, or waits until one is free."""

    def __init__(self, compiled: Any) -> None:
        self.number = max(1, int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
        self._outputs = len(compiled.outputs)
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.number):
            self._free.put(compiled.create_infer_request())

    def run(self, images: NDArray[Any], batch: int) -> list[NDArray[np.float32]]:
        """Return the rows of at most a batch of images, which is filled up; they are copies."""
        padded = np.ascontiguousarray(images)
        if len(images) < batch:
            padded = np.zeros((batch, *images.shape[1:]), images.dtype)
            padded[: len(images)] = images
        with self._borrowed() as request:
            found = request.infer([padded], share_inputs=True)  # which releases the lock of the interpreter
            return [np.array(found[i][: len(images)], np.float32) for i in range(self._outputs)]

    @contextmanager
    def _borrowed(self) -> Iterator[Any]:
        request = self._free.get()
        try:
            yield request
        finally:
            self._free.put(request)
