"""The list of GPUs, with a tool and a driver of the tests: the machines of the tests have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.system import gpus
from featstore.system.gpus import Gpu, list_gpus

LINES = """GPU-aaa1-0, 81559, NVIDIA H100 80GB HBM3
GPU-bbb2-0, [N/A], NVIDIA GH200, of some kind
"""
H100 = Gpu(0, "NVIDIA H100 80GB HBM3", "GPU-aaa1-0", 81559 * 2**20)
GH200 = Gpu(1, "NVIDIA GH200, of some kind", "GPU-bbb2-0")


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An nvidia-smi that lists two GPUs."""
    (tmp_path / "answer").write_text(LINES)
    monkeypatch.setattr(gpus, "_TOOL", ("cat", str(tmp_path / "answer")))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def no_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without nvidia-smi; returns a root for the files of a driver."""
    monkeypatch.setattr(gpus, "_TOOL", (str(tmp_path / "nvidia-smi"),))
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path / "gpus")
    monkeypatch.setattr(gpus, "_DEVICES", tmp_path / "dev")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


@pytest.mark.usefixtures("tool")
def test_gpus_have_number_name_and_memory() -> None:
    """Memory that the driver does not tell is not known; a name may have commas."""
    assert list_gpus() == (H100, GH200)


@pytest.mark.usefixtures("tool")
@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", [GH200.name]),
        ("1,0", [GH200.name, H100.name]),
        ("GPU-bbb2", [GH200.name]),
        ("0,7,1", [H100.name]),
        ("GPU-", []),
        ("", []),
        ("-1", []),
        ("MIG-ccc", ["part of a GPU"]),
    ],
)
def test_hidden_gpus_are_not_listed(visible: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA takes numbers and beginnings of UUIDs up to the first that names none; those left are counted from 0."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = list_gpus()
    assert [gpu.name for gpu in found] == names
    assert [gpu.number for gpu in found] == list(range(len(names)))


def test_without_a_tool_the_driver_is_read(no_tool: Path) -> None:
    """A container may show the files of all GPUs and give only one."""
    for bus, minor in (("0000:41:00.0", 1), ("0000:01:00.0", 0)):
        folder = no_tool / "gpus" / bus
        folder.mkdir(parents=True)
        text = f"Model: \t\t NVIDIA A100\nGPU UUID: \t GPU-{minor}\nBus Location: \t {bus}\nDevice Minor: \t {minor}\n"
        (folder / "information").write_text(text)
    (no_tool / "dev").mkdir()
    (no_tool / "dev" / "nvidia1").touch()
    assert list_gpus() == (Gpu(0, "NVIDIA A100", "GPU-1"),)


@pytest.mark.usefixtures("no_tool")
def test_a_machine_without_gpus() -> None:
    """Neither the tool nor the driver is there, and that is no error."""
    assert list_gpus() == ()
