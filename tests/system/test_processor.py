"""What the processor can do, read from what Linux says about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from featstore.system import processor
from featstore.system.processor import has_bfloat16, processor_features

X86 = """processor\t: 0
model name\t: AMD EPYC
flags\t\t: fpu sse2 avx512f avx512_bf16
bugs\t\t: spectre_v1

processor\t: 1
flags\t\t: fpu sse2
"""


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    processor_features.cache_clear()
    yield
    processor_features.cache_clear()


def _say(cpuinfo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    monkeypatch.setattr(processor, "_CPUINFO", file)


def test_the_features_are_those_of_the_first_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _say(X86, tmp_path, monkeypatch)
    assert processor_features() == {"fpu", "sse2", "avx512f", "avx512_bf16"}


def test_nothing_is_known_where_the_system_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "missing")
    assert processor_features() == frozenset()
    assert not has_bfloat16()


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags : avx512f avx512_bf16", True),
        ("flags : avx512f amx_tile amx_bf16", True),
        ("Features : fp asimd bf16", True),
        ("flags : avx2 avx512f", False),
        ("Features : fp asimd i8mm", False),
        ("model name : bf16", False),
    ],
)
def test_bfloat16_is_a_feature_of_x86_and_of_arm(
    line: str, has: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _say(line + "\n", tmp_path, monkeypatch)
    assert has_bfloat16() == has
