"""Where an extraction runs on Ray: what is refused before anything is read."""

from __future__ import annotations

from typing import Any

import pytest

from featstore.cluster import options
from featstore.cluster.options import ClusterOptions, parse_cluster
from featstore.errors import BaseUnavailable, UsageError


def test_an_address_or_a_ray_of_our_own() -> None:
    """Nothing said is no Ray at all."""
    assert parse_cluster(None) is None
    assert parse_cluster(False) is None
    assert parse_cluster(True) == parse_cluster("local") == parse_cluster(" ") == ClusterOptions()
    assert parse_cluster("head:6379", 3, 0.5) == ClusterOptions("head:6379", 3, 0.5)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"address": True, "devices": "cpu,cpu"}, "do not go together"),
        ({"address": None, "workers": 2}, "workers=2: is for `ray` alone"),
        ({"address": None, "num_gpus": 0}, "num_gpus=0: is for `ray` alone"),
        ({"address": True, "workers": 0}, "at least 1"),
        ({"address": True, "num_gpus": 1.5}, "a whole number of them"),
        ({"address": True, "num_gpus": float("nan")}, "a share of a GPU"),
        ({"address": "ray://head:10001"}, "host:6379"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_cluster(**given)


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    with pytest.raises(BaseUnavailable, match=r"pip install 'featstore-keras\[ray\]'"):
        parse_cluster(True)
