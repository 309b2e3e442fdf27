"""Functions of tests, and code that uses the helpers, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from helpers.cli import WARNINGS
from helpers.paths import TESTS

GB = 2**30

# A test module has no name by which another process could import it, so it is run by its path.
CALL = """
import importlib.util, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
path, name, memory, *arguments = sys.argv[1:]
if memory:
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
spec = importlib.util.spec_from_file_location("tests_in_child", path)
sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
getattr(module, name)(*arguments)
"""


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a process that can import the helpers, as the tests can."""
    places = (str(TESTS), os.environ.get("PYTHONPATH"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), **more}


def command(function: Callable[..., object], *arguments: object, memory: int | None = None) -> list[str]:
    """Return the command that calls a test module's function with `arguments` as text, in at most `memory` bytes."""
    place = (function.__code__.co_filename, function.__name__, memory or "")
    return [sys.executable, *WARNINGS, "-c", CALL, *map(str, (*place, *arguments))]


def in_child(
    function: Callable[..., object], *arguments: object, seconds: float, memory: int | None = None, **variables: str
) -> str:
    """Call `function` as a process that may take so many seconds and bytes of memory; return what it printed."""
    done = subprocess.run(
        command(function, *arguments, memory=memory),
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
