"""A bucket of `gs://`, as far as a fake can show it: no server that speaks Google's interface is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.objects.bucket import AlreadyThere
from featstore.objects.obstore_bucket import ObstoreBucket
from featstore.objects.urls import Url
from helpers.gs_fake import ACCOUNT, account_of, gs_fake


def test_what_is_asked_of_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gs_fake() as address:
        (tmp_path / "account.json").write_text(account_of(address))
        monkeypatch.setenv(ACCOUNT, str(tmp_path / "account.json"))
        monkeypatch.setenv("GOOGLE_BASE_URL", f"http://{address}")  # which says that it is http
        bucket = ObstoreBucket(Url("gs", "bucket"))
        bucket.put_new("a/b", b"123")
        with pytest.raises(AlreadyThere):
            bucket.put_new("a/b", b"456")
        bucket.put("a/c/an e+f%", b"x")
        assert bucket.get("a/b") == (b"123", bucket.head("a/b"))
        assert bucket.get_range("a/b", 1, 1) == (b"2", bucket.head("a/b"))
        folders, objects = bucket.list_folder("a")
        assert (folders, objects) == (["c"], [("a/b", bucket.head("a/b"))])
        assert [found.path for found in bucket.list_all("a")] == ["a/b", "a/c/an e+f%"]
        bucket.delete(["a/b", "a/not there"])
        with pytest.raises(FileNotFoundError):
            bucket.get("a/b")
