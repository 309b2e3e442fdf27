"""Sizes, ages, shares and pairs as they are written on the command line, and times as they are printed.

Typer calls the parsers, and names the option in the message.
"""

from __future__ import annotations

import re
import time

from typer import BadParameter

from featstore.objects.urls import Location, parse_location

_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_bytes(text: str) -> int:
    """Return bytes from a number with K, M, G or T, as in 512M or 2GB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", text.strip().upper(), re.ASCII)
    size = float(found[1]) * _BYTES[found[2]] if found else -1.0
    if not 0 <= size < 2**63:
        raise BadParameter(f"{text}: expected a size, as in 512M or 2G")
    return int(size)


def parse_bytes_with_unit(text: str) -> int:
    """Return bytes as `parse_bytes`, for sizes where a bare 5 may be meant as gigabytes."""
    size = parse_bytes(text)
    if size and text.strip().isdigit():
        raise BadParameter(f"{text}: expected a size with its unit, as in {text}M or {text}G")
    return size


def parse_age(text: str) -> float:
    """Return seconds from minutes, hours, days or weeks, as in 12h or 30d."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([mhdw])", text.strip().lower(), re.ASCII)
    if not found:
        raise BadParameter(f"{text}: expected an age in minutes, hours, days or weeks, as in 12h, 30d or 8w")
    return float(found[1]) * _SECONDS[found[2]]


def parse_time(text: str) -> float:
    """Return seconds from seconds, minutes or hours, as in 90s, 5m or 2h."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([smh])", text.strip().lower(), re.ASCII)
    if not found or float(found[1]) == 0:
        raise BadParameter(f"{text}: expected a time in seconds, minutes or hours, as in 90s, 5m or 2h")
    return float(found[1]) * {"s": 1, **_SECONDS}[found[2]]


def parse_share(text: str) -> float:
    """Return a number from 0 to 1 from per cent, as in 10%."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%", text.strip(), re.ASCII)
    if not found or not 0 < float(found[1]) <= 100:
        raise BadParameter(f"{text}: expected a share in per cent, as in 10%")
    return float(found[1]) / 100


def parse_cache(text: str) -> Location:
    """Return the path or the URL of a cache."""
    return parse_location(text, "cache")


def parse_setting(text: str) -> tuple[str, str]:
    """Return the name and the value of a parameter of a head, from `p=0.5`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise BadParameter(f"{text}: expected KEY=VALUE, as in p=0.5")
    return name, value


def parse_rate(text: str) -> tuple[str, float]:
    """Return the beginning of layers' names and their learning rate, from `block5=1e-5`."""
    name, _, value = text.partition("=")
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    if not name or rate < 0:
        raise BadParameter(f"{text}: expected NAME=RATE, as in block5=1e-5 or head=1e-3")
    return name, rate


def moment(seconds: float) -> str:
    """Return seconds since the epoch as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
