"""Environment variables that matter, and Keras' own settings: what they are, and what featstore refuses."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from featstore.bases.whereabouts import keras_models
from featstore.diagnosis.topic import Problem, Topic
from featstore.engines.choice import settle_engine
from featstore.errors import FeatstoreError
from featstore.system.limits import max_bytes, max_pixels
from featstore.system.tensorflow_loader import refuse_backend, refuse_rounding

_TENSORFLOW = "TF_(ALLOW|CUDNN|DETERMINISTIC|DISABLE|ENABLE|FORCE|GPU|NUM|ONEDNN|SET|USE|XLA)"  # Terraform has others
_MATTER = re.compile(
    rf"({_TENSORFLOW}|FEATSTORE|KERAS|ONEDNN|DNNL|XLA|OMP|OPENBLAS|MKL|CUDA|NVIDIA|OPENVINO)_\w+|(https?|no)_proxy",
    re.I,
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH", re.I)
_LOGIN = re.compile(r"(?<=://)\S*@")
_LOGIN_OF_PROXY = re.compile(r"^(\w+://)?.*@")  # which is often written without a scheme


def find_settings() -> Topic:
    """Return the variables that are set, without passwords, and the backend that Keras' file names."""
    variables = {name: _shown(name, value) for name, value in sorted(os.environ.items()) if _MATTER.fullmatch(name)}
    file = keras_models().parent / "keras.json"
    backend = _backend_of(file)
    named = f"{file} names {backend}" if backend else f"{file} does not name a backend"
    text = "; ".join([*(f"{name}={value}" for name, value in variables.items()), named])
    facts = {"variables": variables, "keras_file": str(file), "keras_file_backend": backend}
    return Topic("settings", text, facts, tuple(_problems()))


def _shown(name: str, value: str) -> str:
    if _SECRET.search(name):
        return "(not shown)"
    if name.lower().endswith("_proxy"):
        return _LOGIN_OF_PROXY.sub(r"\1(not shown)@", value)
    return _LOGIN.sub("(not shown)@", value)


def _backend_of(file: Path) -> str | None:
    with suppress(OSError, ValueError, AttributeError):
        backend = json.loads(file.read_text(encoding="utf-8")).get("backend")
        return backend if isinstance(backend, str) else None
    return None


def _problems() -> Iterator[Problem]:
    """Yield what would end a command, in the words with which it would."""
    checks: list[Callable[[], object]] = [
        refuse_rounding,
        refuse_backend,
        max_pixels,
        max_bytes,
        lambda: settle_engine(None),
    ]
    for check in checks:
        try:
            check()
        except FeatstoreError as error:
            yield Problem(str(error), fails=True)
