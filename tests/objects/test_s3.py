"""A bucket on a real S3 server: what each answer that is lost, late, repeated, cut or forged becomes."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice

import obstore.exceptions
import pytest

from featstore.objects.bucket import AlreadyThere, ObjectError, Uncertain
from featstore.objects.obstore_bucket import ObstoreBucket, Patience
from featstore.objects.urls import Url
from featstore.store.object_writes import write_first
from helpers.proxy import READS, Asked, Proxy, proxy
from helpers.s3_server import environment_of

HASTY = Patience(request=10, call=20, retries=2, pause=0.001)
HASTIEST = HASTY._replace(request=0.4)  # nobody waits for what is slow
DATA = b"x" * 1000


@contextmanager
def once(server: str, bucket: Url, fault: str, method: str) -> Iterator[tuple[Proxy, ObstoreBucket]]:
    """A bucket behind a proxy that has one fault, at the first request of a method."""
    left = [fault]

    def choose(asked: Asked) -> str | None:
        return left.pop() if left and asked.method == method else None

    with proxy(server, choose, later=1.0 if fault == "slow" else 0.05) as between, environment_of(between.address):
        yield between, ObstoreBucket(bucket, HASTIEST if fault == "slow" else HASTY)


@pytest.mark.parametrize(
    "fault, raised, written",
    [
        ("lost", AlreadyThere, True),  # it is our own
        ("refused", None, True),
        ("refused after the fact", AlreadyThere, True),
        ("late", None, True),  # another attempt was faster
        ("repeated", AlreadyThere, True),
        ("repeated late", None, True),
        ("conflict", AlreadyThere, False),
        ("slow", Uncertain, True),
    ],
)
def test_create_with_a_fault(
    fault: str, raised: type[ObjectError] | None, written: bool, s3_address: str, s3: Url
) -> None:
    """Neither "it exists" nor an error says whether it was written; this is what the store has to cope with."""
    direct = ObstoreBucket(s3)
    with once(s3_address, s3, fault, "PUT") as (between, bucket):
        try:
            bucket.put_new("a/b", DATA)
            ended = None
        except ObjectError as error:
            ended = type(error)
            assert len(str(error.strerror).splitlines()) == 1
        assert list(between.done) == [fault]
        assert (ended, [found.path for found in direct.list_all("a")]) == (raised, ["a/b"] if written else [])
    assert not written or direct.get("a/b")[0] == DATA


@pytest.mark.parametrize("fault", ["lost", "refused", "late"])
def test_delete_is_not_tried_again_out_of_sight(fault: str, s3_address: str, s3: Url) -> None:
    """The first attempt could arrive after all, when another process has written the object again."""
    ObstoreBucket(s3).put("a/b", DATA)
    asked = Counter[str]()

    def choose(request: Asked) -> str:
        asked[request.method] += 1
        return fault

    with proxy(s3_address, choose) as between, environment_of(between.address), pytest.raises(Uncertain):
        ObstoreBucket(s3, HASTY).delete(["a/b"])
    assert asked == {"POST": 1}


@pytest.mark.parametrize("fault", READS)
@pytest.mark.parametrize("method", ["get", "list"])
def test_read_with_a_fault(method: str, fault: str, s3_address: str, s3: Url) -> None:
    """What is read is asked for again, or an error says that it was not read."""
    direct = ObstoreBucket(s3)
    direct.put("a/b", DATA)
    with once(s3_address, s3, fault, "GET") as (between, bucket):
        read = {"get": lambda: bucket.get("a/b")[0], "list": lambda: [found.path for found in bucket.list_all("a")]}
        try:
            found = read[method]()
        except ObjectError as error:
            assert len(str(error.strerror).splitlines()) == 1
            assert fault in ("cut", "short", "flipped")
        else:
            forged = fault in ("short", "flipped") and method == "get"  # HTTP has nothing that shows it: digests do
            assert (found == {"get": DATA, "list": ["a/b"]}[method]) != forged
        assert list(between.done) == [fault]


def test_one_of_twenty_creates_an_object(s3: Url) -> None:
    """As the store does it, which looks where an answer is in doubt: a busy server ends connections."""
    bucket = ObstoreBucket(s3)

    def create(number: int) -> bool:
        return write_first(bucket, s3 / "key" / "spec.json", b"%d" % number)

    with ThreadPoolExecutor(20) as pool:
        won = list(pool.map(create, range(20)))
    assert won.count(True) == 1
    assert bucket.get("key/spec.json")[0] == b"%d" % won.index(True)


def ask_all(bucket: ObstoreBucket) -> Iterator[str]:
    """The reason that each kind of request fails for."""
    for ask in (
        lambda: list(bucket.list_all("a")),
        lambda: bucket.list_folder("a"),
        lambda: bucket.head("a"),
        lambda: bucket.get("a"),
        lambda: bucket.put_new("a", b""),
        lambda: bucket.put("a", b""),
        lambda: bucket.delete(["a"]),
    ):
        with pytest.raises(OSError) as error:
            ask()
        assert len(str(error.value.strerror).splitlines()) == 1
        yield str(error.value.strerror)


def test_no_bucket_of_this_name(s3: Url) -> None:
    lists, one, writes = 2, 2, 2  # one object is not there, whatever the reason
    bucket = ObstoreBucket(Url("s3", "not-there"), HASTY)
    reasons = list(islice(ask_all(bucket), lists + one + writes))
    named = "there is no bucket s3://not-there"
    assert reasons == [named] * lists + ["no such object"] * one + [named] * writes
    bucket.delete(["a"])  # nor is it then


def test_no_server(s3: Url) -> None:
    with environment_of("127.0.0.1:9"):
        begun = time.monotonic()
        for reason in ask_all(ObstoreBucket(s3, HASTY)):
            assert reason.startswith("no answer, ")
            assert reason.endswith(" to 127.0.0.1:9")
        assert time.monotonic() - begun < 20


def test_no_rights(s3_address: str, s3: Url) -> None:
    """What Amazon answers to a wrong signature quotes the key and the signature; nothing of it is shown."""
    with proxy(s3_address, lambda asked: "denied") as between, environment_of(between.address):
        for reason in ask_all(ObstoreBucket(s3, HASTY)):
            assert "403" in reason
            assert "AWS_ACCESS_KEY_ID" in reason
            assert not any(secret in reason for secret in ("key-of-tests", "secret-of-tests", "c0ffee", "AWS4-HMAC"))


def test_a_bucket_in_another_region(s3_address: str, s3: Url) -> None:
    """Amazon answers with a redirect that does not say where to. Nothing is done then, so it is not tried again."""
    with proxy(s3_address, lambda asked: "elsewhere") as between, environment_of(between.address):
        for reason in ask_all(ObstoreBucket(s3, HASTY)):
            assert reason.startswith("it is in another region, ")
            assert reason.endswith(": set AWS_REGION to that of the bucket")
        with pytest.raises(ObjectError) as error:
            ObstoreBucket(s3, HASTY).put("a", b"")
        assert not isinstance(error.value, Uncertain)


@pytest.mark.parametrize("server", ["169.254.169.254", "169.254.170.2", "metadata.google.internal"])
def test_no_credentials(s3: Url, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    """Without any, obstore asks the machine for some, which outside of a provider's cloud does not answer."""
    text = f"Generic S3 error: Error performing PUT http://{server}/latest in 9s, after 9 retries - HTTP error: connect"
    with pytest.raises(ObjectError) as error, ObstoreBucket(s3)._errors("a"):
        raise obstore.exceptions.GenericError(text)
    assert error.value.strerror.startswith(f"no answer, PUT to {server}; the credentials come from AWS_ACCESS_KEY_ID")


def test_azure_knows_its_account_by_the_names_of_its_own_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    with pytest.raises(ObjectError) as error:
        ObstoreBucket(Url("az", "container"), HASTY)
    assert error.value.strerror == (
        "Account must be specified; the credentials come from AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
    )
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "account")
    monkeypatch.setenv("AZURE_STORAGE_KEY", "a2V5")
    assert ObstoreBucket(Url("az", "container"), HASTY)._store.config["account_name"] == "account"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "another")
    assert "account_name" not in ObstoreBucket(Url("az", "container"), HASTY)._store.config  # obstore takes it itself


def test_signed_addresses_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of Azure's credentials are in the query of each address."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2022-11-02&sig=c2VjcmV0LW9mLXRlc3Rz")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9")
    for reason in ask_all(ObstoreBucket(Url("az", "container"), HASTY)):
        assert reason.startswith("no answer, ")
        assert not any(secret in reason for secret in ("sig=", "c2VjcmV0", "sv="))
