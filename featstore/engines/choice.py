"""The names of the engines, and which one a user has asked for."""

from __future__ import annotations

import os
from typing import Literal, get_args

from featstore.errors import UsageError, param

Engine = Literal["auto", "tensorflow", "openvino"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
ENGINE_VARIABLE = "FEATSTORE_ENGINE"


def settle_engine(engine: str | None) -> Engine:
    """Return the engine of that name, or that of $FEATSTORE_ENGINE, or `auto`; raises UsageError for another name."""
    wanted = str(engine or os.environ.get(ENGINE_VARIABLE) or "auto")
    for name in ENGINES:
        if wanted.casefold() == name:
            return name
    where = param("engine", wanted) if engine else f"{ENGINE_VARIABLE}={wanted}"
    raise UsageError(f"{where}: use one of {', '.join(ENGINES)}")
