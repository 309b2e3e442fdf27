"""Files of trained classifiers that are dataclasses of plain arrays and numbers: `.npz`, read without unpickling."""

from __future__ import annotations

import io
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from featstore.system.archive import read_arrays
from featstore.system.files import write_whole

Trained = TypeVar("Trained")
_NUMBERS = {"float": float, "int": int}


def write_arrays(trained: Any, path: Path) -> None:
    """Write a `.npz` with one array for each field of the dataclass; raises StoreError."""
    content = io.BytesIO()
    np.savez(content, **asdict(trained))
    write_whole(path, content.getvalue())


def load_arrays(kind: type[Trained], path: Path) -> Trained:
    """Return the classifier of `kind` that `write_arrays` wrote.

    Raises ValueError for a file with other content, and what `read_arrays` raises.
    """
    arrays: dict[str, Any] = dict(read_arrays(path))
    wanted = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    if set(arrays) != set(wanted):
        raise ValueError(f"it has the arrays {', '.join(sorted(arrays)) or 'none'}")
    for name, hint in wanted.items():
        if number := _NUMBERS.get(str(hint)):
            arrays[name] = number(arrays[name].item())
    return kind(**arrays)


def check_floats(*arrays: Any) -> None:
    """Raise ValueError unless all of them are arrays of finite floats."""
    for array in arrays:
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError("it has something other than arrays of floats")
