"""Fake networks, and passes with one task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from featstore.extraction.passes import Pass
from featstore.extraction.writer import Task
from featstore.store.rowstore import RowStore

Encode = Callable[[np.ndarray], np.ndarray]


class FakeNetwork:
    """Functions from images to rows as a network with an output each."""

    def __init__(self, *functions: Encode, engine: str = "fake", batch: int = 32, calls: int = 1) -> None:
        self.functions = functions
        self.engine, self.batch, self.calls = engine, batch, calls

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(function(images) for function in self.functions)


def pass_of(
    store: RowStore, encode: Encode, dtype: str = "float16", *, batch: int = 32, calls: int = 1, **more: Any
) -> Pass:
    """Return the pass of one task, whose rows `encode` makes; `more` is for the task."""
    return Pass([Task(store, dtype, **more)], lambda images: FakeNetwork(encode, batch=batch, calls=calls))
