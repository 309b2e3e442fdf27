"""Servers that replace what they should not."""

from __future__ import annotations

import pytest

from featstore.errors import StoreError
from featstore.objects.urls import Url
from featstore.store.object_condition import check_condition
from helpers.buckets import MemoryBucket, bucket_in_place

FOLDER = Url("s3", "b", "cache/tiny/key/claims")


def test_a_server_that_ignores_the_condition_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:secret@localhost:8014")
    bucket = MemoryBucket()
    bucket.ignores_condition = True
    for _ in range(2):  # the second attempt is not taken for a server that was tried
        with bucket_in_place(bucket), pytest.raises(StoreError, match="s3://b: the server localhost:8014 ignores"):
            check_condition(FOLDER)
    assert not bucket.objects


def test_a_server_that_honours_it_is_asked_once() -> None:
    bucket = MemoryBucket()
    with bucket_in_place(bucket):
        check_condition(FOLDER)
        asked = bucket.requests.total()
        check_condition(FOLDER)
    assert bucket.requests.total() == asked <= 5
    assert not bucket.objects
