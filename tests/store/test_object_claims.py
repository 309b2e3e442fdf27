"""Claims on object storage: several processes share the rows of a key."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator

import pytest

from featstore.errors import UsageError
from featstore.objects.bucket import ObjectError
from featstore.objects.urls import Url
from featstore.store import object_claims
from featstore.store.object_claims import ObjectClaims, are_claims_on
from featstore.store.rowid import RowId, row_id
from helpers.buckets import MemoryBucket, bucket_in_place

FOLDER = Url("s3", "b", "cache/tiny/key/claims")
IDS = [row_id(hashlib.sha256(str(n).encode()).hexdigest()) for n in range(200)]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBucket]:
    monkeypatch.setattr(object_claims, "SECONDS", 0.01)
    bucket = MemoryBucket()
    with bucket_in_place(bucket):
        yield bucket


@pytest.fixture
def make(bucket: MemoryBucket) -> Iterator[Callable[..., ObjectClaims]]:
    """Make claims as a process does; they are closed at the end."""
    made = []

    def one(on_release: Callable[[], None] = lambda: None) -> ObjectClaims:
        made.append(ObjectClaims(FOLDER, on_release))
        return made[-1]

    yield one
    bucket.before = lambda kind, path: None
    for claims in made:
        claims.close()
    until(lambda: not bucket.objects)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_process_gets_all_rows(make: Callable[..., ObjectClaims]) -> None:
    claims = make()
    assert all(claims.claim(row) for row in IDS)


def test_processes_that_begin_at_once_do_not_compute_the_same_rows(make: Callable[..., ObjectClaims]) -> None:
    """They take the images in the same order, and see each other late: each has a share of its own."""
    one, two, three = make(), make(), make()
    for claims in (one, two, three):
        claims._sign.show()
    for claims in (one, two, three):  # none sees the claims of the others yet
        assert claims.claim(IDS[0])
    until(lambda: all(len(claims._rivals) == 2 for claims in (one, two, three)))
    shares = [[row for row in IDS[1:] if claims.claim(row)] for claims in (one, two, three)]
    assert sorted(row for share in shares for row in share) == sorted(IDS[1:])
    assert min(map(len, shares)) > 40


def test_what_a_process_has_claimed_is_left_to_it_until_it_is_released(make: Callable[..., ObjectClaims]) -> None:
    released = []
    one, two = make(), make(lambda: released.append(1))
    mine = [row for row in IDS if one.claim(row)]
    two.claim(b"x" * 34)
    until(lambda: [len(other.rows) for other in two._others.values()] == [len(mine)])
    assert not any(two.claim(row) for row in mine)
    one.release(mine[:10])
    until(lambda: released)
    assert not any(two.is_free(row) for row in mine[10:])
    one.close()
    until(lambda: not two._others)
    assert all(two.claim(row) for row in mine)


def test_processes_at_work_on_other_images_get_all_of_theirs(make: Callable[..., ObjectClaims]) -> None:
    one, two = make(), make()
    mine, theirs = IDS[:100], IDS[100:]
    assert one.claim(mine[0])
    assert two.claim(theirs[0])
    until(lambda: one._others and two._others)
    assert all(one.claim(row) for row in mine)
    assert all(two.claim(row) for row in theirs)


def test_a_process_without_work_takes_what_another_has_not_claimed(make: Callable[..., ObjectClaims]) -> None:
    """The other one was met at one image, and takes none of the others."""
    one, two = make(), make()
    one.claim(b"x" * 34)
    two.claim(b"y" * 34)
    until(lambda: one._others and two._others)
    until(lambda: not two.is_free(b"x" * 34))
    left = [row for row in IDS if not two.claim(row)]
    assert left
    for _ in range(20):
        two.release_all()
        left = [row for row in left if not (two.is_free(row) and two.claim(row))]
    assert not left


def test_the_claims_of_a_dead_process_are_void_after_a_minute(
    bucket: MemoryBucket, make: Callable[..., ObjectClaims]
) -> None:
    dead = make()
    dead.claim(IDS[0])
    assert dead._stop is not None
    dead._exchange = lambda: None  # type: ignore[method-assign]  # it shows no sign of life
    dead._looked_at = float("inf")
    bucket.clock = lambda: time.time() + 62
    assert make().claim(IDS[0])


def test_views_of_an_image_go_to_one_process(make: Callable[..., ObjectClaims]) -> None:
    one, two = make(), make()
    one.claim(IDS[0])
    two.claim(b"x" * 34)
    until(lambda: two._others and not two.is_free(IDS[0]))
    one, two = two, one
    for row in IDS[1:50]:
        views: list[RowId] = [row[:32] + view.to_bytes(2, "big") for view in range(5)]
        assert len({one.is_free(view) for view in views}) == 1


def test_errors_are_never_raised(bucket: MemoryBucket, make: Callable[..., ObjectClaims]) -> None:
    def fail(kind: str, path: str) -> None:
        raise ObjectError("no answer")

    bucket.before = fail
    claims = make()
    assert all(claims.claim(row) for row in IDS)
    claims.release(IDS)
    assert all(claims.is_free(row) for row in IDS)


def test_a_process_at_work_makes_few_requests(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_claims, "SECONDS", 2.0)
    claims = ObjectClaims(FOLDER, lambda: None)
    for row in IDS:
        claims.claim(row)
    assert {kind: bucket.requests[kind] for kind in ("put", "list", "get")} == {"put": 1, "list": 1, "get": 0}
    claims.close()
    until(lambda: not bucket.objects)


def test_they_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert are_claims_on()
    monkeypatch.setenv("FEATSTORE_CLAIMS", "off")
    assert not are_claims_on()
    monkeypatch.setenv("FEATSTORE_CLAIMS", "no")
    with pytest.raises(UsageError, match="FEATSTORE_CLAIMS is 'no': expected on or off"):
        are_claims_on()
