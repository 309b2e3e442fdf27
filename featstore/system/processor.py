"""What the processor of this machine can do, where the system says so."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_FEATURE_LINES = ("flags", "Features")  # x86 writes the one, ARM the other
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # two of x86, one of ARM


@cache
def processor_features() -> frozenset[str]:
    """Return the features that Linux lists for the first core, as `avx512_bf16`; none where it is not known."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    return _first_features(text)


def has_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 numbers itself: without that they are slower than float32."""
    return not _BFLOAT16.isdisjoint(processor_features())


def _first_features(cpuinfo: str) -> frozenset[str]:
    for line in cpuinfo.splitlines():
        name, _, words = line.partition(":")
        if name.strip() in _FEATURE_LINES:
            return frozenset(words.split())
    return frozenset()
