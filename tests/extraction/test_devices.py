"""The words for devices, on machines with and without GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from featstore import extract
from featstore.errors import UsageError
from featstore.extraction import devices as module
from featstore.extraction.devices import describe_devices, parse_devices
from featstore.system.gpus import Gpu
from helpers.cli import call

TWO = (Gpu(0, "NVIDIA H100", "GPU-a"), Gpu(1, "NVIDIA A100", "GPU-b"))


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs and four cores."""
    monkeypatch.setattr(module, "list_gpus", lambda: TWO)
    monkeypatch.setattr(module, "cores_here", lambda: (0, 1, 2, 3))


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ("all", ["GPU 0", "GPU 1"]),
        ("ALL", ["GPU 0", "GPU 1"]),
        ("1", ["GPU 1"]),
        (1, ["GPU 1"]),
        ([1, 0], ["GPU 1", "GPU 0"]),
        (["0", "cpu"], ["GPU 0", "cpu"]),
        ("0, 0", ["GPU 0", "GPU 0"]),
        ("cpu,CPU", ["cpu", "cpu"]),
    ],
)
def test_devices_are_named(given: Any, expected: list[str]) -> None:
    """By numbers and words, in a text or a list; two processes may share a GPU."""
    assert [str(device) for device in parse_devices(given)] == expected


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("0,7", "devices='0,7': there is no GPU 7 here; found: 0 (NVIDIA H100), 1 (NVIDIA A100)"),
        ("gpu", "expected all, or a list of numbers of GPUs and cpu, as in 0,1 or cpu,cpu; found 'gpu'"),
        ("all,cpu", "found 'all'"),
        ("-1", "found '-1'"),
        ("", "found ''"),
        ([], "found nothing"),
        ("cpu,cpu,cpu,cpu,cpu", "5 processes need as many cores; found 4"),
    ],
)
def test_a_device_that_is_not_there_is_refused(given: Any, message: str) -> None:
    """In one line, which says what was found."""
    with pytest.raises(UsageError) as refused:
        parse_devices(given)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("all", "--devices all: no GPU was found here; give cpu, or leave it out"),
        ("0", "--devices 0: there is no GPU 0 here; found: none"),
    ],
)
def test_a_machine_without_gpus(given: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read before the devices are known."""
    monkeypatch.setattr(module, "list_gpus", lambda: ())
    assert call("extract", "nowhere", "--model", "pixels", "--devices", given) == (2, "", f"featstore: {message}\n")
    with pytest.raises(UsageError, match=f"devices='{given}'"):
        extract("nowhere", model="pixels", devices=given)


@pytest.mark.usefixtures("gpus")
def test_devices_are_described() -> None:
    """What each process computes on."""
    line = describe_devices(parse_devices("1,cpu"), [(0, 1), (2, 3)])
    assert line == "2 processes: GPU 1 (NVIDIA A100), cpu (2 cores)"
    assert describe_devices(parse_devices("cpu"), [(0,)]) == "1 process: cpu (1 core)"
