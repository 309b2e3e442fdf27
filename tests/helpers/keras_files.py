"""`.keras` archives with a configuration and nothing else."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

CONV = {"module": "keras.layers", "class_name": "Conv2D", "config": {"name": "conv"}, "registered_name": None}
INPUT = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 32, 48, 3]}}


def write(path: Path, config: object) -> Path:
    """A `.keras` archive that holds nothing but a `config.json`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
    return path


def model(*layers: Any, **more: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Functional", "config": {"name": "m", "layers": list(layers)}, **more}
