"""Sizes, ages and shares as people write them."""

from __future__ import annotations

import pytest
from typer import BadParameter

from featstore.cli.units import (
    parse_age,
    parse_bytes,
    parse_bytes_with_unit,
    parse_rate,
    parse_setting,
    parse_share,
)
from featstore.system.text import count


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512M", 512 * 2**20),
        ("2G", 2**31),
        ("2GB", 2**31),
        ("2GiB", 2**31),
        (" 1.5 k ", 1536),
        ("1t", 2**40),
        ("4096", 4096),
        ("10B", 10),
    ],
)
def test_sizes_of_memory_are_powers_of_1024(text: str, size: int) -> None:
    """As people write them."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "1e9", "nan", "2X", "2GG", "1,5G", "1G 1M"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """In one line that shows how a size is written."""
    with pytest.raises(BadParameter, match="expected a size, as in 512M or 2G") as caught:
        parse_bytes(text)
    assert "\n" not in str(caught.value)


def test_a_size_beyond_all_numbers_is_refused() -> None:
    """As any other that makes no sense."""
    with pytest.raises(BadParameter, match="expected a size"):
        parse_bytes("9" * 400)


def test_nothing_may_be_a_size() -> None:
    """Where it makes sense: a cache may be pruned to it."""
    assert parse_bytes_with_unit("0") == parse_bytes("0M") == 0


@pytest.mark.parametrize(
    "text, seconds", [("90m", 5400), ("12h", 43200), ("1.5d", 129600), ("8w", 4838400), (" 30 D ", 2592000)]
)
def test_ages(text: str, seconds: float) -> None:
    """Minutes, hours, days and weeks."""
    assert parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y", "1e3d", "nan", "\u0663d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    """With the option, and how an age is written."""
    with pytest.raises(BadParameter, match="^.*: expected an age.*as in 12h, 30d or 8w$"):
        parse_age(text)


@pytest.mark.parametrize("text, share", [("10%", 0.1), ("100 %", 1.0), ("0.5%", 0.005)])
def test_shares(text: str, share: float) -> None:
    """In per cent."""
    assert parse_share(text) == share


def test_numbers_are_printed_as_people_read_them() -> None:
    """One is no plural."""
    assert [count(n, "row") for n in (0, 1, 2, 12345)] == ["0 rows", "1 row", "2 rows", "12,345 rows"]


def test_a_bare_number_is_no_size_of_a_cache() -> None:
    """5 may be meant as gigabytes."""
    assert parse_bytes_with_unit("20G") == 20 * 2**30
    with pytest.raises(BadParameter, match="as in 5M or 5G"):
        parse_bytes_with_unit("5")


def test_pairs() -> None:
    """A parameter of a head, whose value may hold any characters, and a learning rate."""
    assert parse_setting("p=0.5=x") == ("p", "0.5=x")
    assert parse_rate("block5=1e-5") == ("block5", 1e-5)


@pytest.mark.parametrize("text", ["block5", "=1", "block5=", "block5=fast", "block5=-1"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(BadParameter, match="expected NAME=RATE, as in block5=1e-5 or head=1e-3"):
        parse_rate(text)


def test_a_setting_needs_a_value() -> None:
    """With an example."""
    with pytest.raises(BadParameter, match="p: expected KEY=VALUE, as in p=0.5"):
        parse_setting("p")
