"""Digests that workers find: the driver remembers them, and knows even the young files until the job ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.cluster.digest_notes import DigestNotes, ToldDigests
from featstore.cluster.work import Seen
from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Picture
from featstore.extraction.cache import Cache
from featstore.system.files import FileStat

OLD, NEW = FileStat(1, 2, 3, 4), FileStat(1, 2, 5, 6)
DIGEST = "ab" * 32


def test_a_worker_knows_what_it_was_told() -> None:
    """For exactly that state of a file; and it keeps what it has read."""
    notes = DigestNotes([Picture("/a.png", OLD, known_digest=DIGEST), Picture("/b.png", OLD)])
    assert notes.get_all([("/a.png", OLD), ("/a.png", NEW), ("/b.png", OLD)]) == [DIGEST, None, None]
    notes.remember("/b.png", NEW, DIGEST, 10)
    notes.save()
    assert notes.seen == [Seen(Picture("/b.png", NEW, known_digest=DIGEST), 10)]
    assert notes.get("/b.png", NEW) == DIGEST


def test_what_workers_find_is_remembered_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for a file that is too young: of that it is known in this job alone."""
    cache = Cache(tmp_path / "cache")
    told = ToldDigests(cache)
    assert told.get_all([("/p/old.png", OLD), ("/p/young.png", OLD)]) == [None, None]
    told.take(Picture("/p/old.png", OLD, known_digest=DIGEST), 1)
    told.take(Picture("/p/young.png", OLD, known_digest=DIGEST), None)
    told.save()
    assert told.get_all([("/p/old.png", OLD), ("/p/young.png", OLD)]) == [DIGEST, DIGEST]
    later = DigestMemory(cache.digests.folder)
    assert later.get_all([("/p/old.png", OLD), ("/p/young.png", OLD)]) == [DIGEST, None]
