"""Sizes, ages and shares as they are written on the command line and printed."""

from __future__ import annotations

import re
import time

from featstore.errors import UsageError

_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_bytes(option: str, text: str, least: int = 0) -> int:
    """Bytes from a number with K, M, G or T, as in 512M or 2GB; raises UsageError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", text.strip().upper(), re.ASCII)
    size = float(found[1]) * _BYTES[found[2]] if found else -1.0
    if not least <= size < 2**63:
        raise UsageError(f"{option} {text}: expected a size, as in 512M or 2G")
    return int(size)


def parse_age(option: str, text: str) -> float:
    """Seconds from minutes, hours, days or weeks, as in 12h or 30d; raises UsageError for anything else."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([mhdw])", text.strip().lower(), re.ASCII)
    if not found:
        raise UsageError(f"{option} {text}: expected an age in minutes, hours, days or weeks, as in 12h, 30d or 8w")
    return float(found[1]) * _SECONDS[found[2]]


def parse_share(option: str, text: str) -> float:
    """0 to 1 from per cent, as in 10%; raises UsageError for anything else."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%", text.strip(), re.ASCII)
    if not found or not 0 < float(found[1]) <= 100:
        raise UsageError(f"{option} {text}: expected a share in per cent, as in 10%")
    return float(found[1]) / 100


def megabytes(size: int) -> str:
    """A size for a table, in MB of 10^6 bytes."""
    return f"{size / 1e6:.1f}"


def moment(seconds: float) -> str:
    """Seconds since the epoch as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
