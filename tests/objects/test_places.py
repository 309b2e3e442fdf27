"""Places: a URL is never taken for a path, nor a path for a URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.errors import DataError, UsageError
from featstore.objects.places import below, folder_of, join, kind_of, normal, one_place, path_below, places
from featstore.system.paths import is_url, one_path
from helpers.buckets import MemoryBucket, bucket_in_place


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("s3://b/photos/", "s3://b/photos"),
        ("S3://b/a b/c#d%20?e+f.jpg", "s3://b/a b/c#d%20?e+f.jpg"),
        ("gs://b", "gs://b"),
        ("memory:///x", "memory:///x"),
        ("file:///data/a%20b", "/data/a b"),
        (Path("file:///data/x"), "/data/x"),
        ("./photos", "./photos"),
        ("C:/photos", "C:/photos"),
        ("a:b/c", "a:b/c"),
    ],
)
def test_a_place_has_one_form(given: str | Path, place: str) -> None:
    assert one_place(given, "data") == place
    assert places([given], "data") == [place]
    assert one_place(place, "data") == place


@pytest.mark.parametrize("given", ["https://x/y", "ftp://x", "s3:///x", "s3://b/a//b", "s3://b/../x", "file://host/x"])
def test_what_no_object_has_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(UsageError) as error:
        one_place(given, "data")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("query", ["sv=1&sig=SECRET", "X-Amz-Signature=SECRET", "Signature=SECRET&Expires=1"])
def test_a_signed_url_is_refused_and_not_shown(query: str) -> None:
    for place in ("az://c/photos", "az://c", "s3://b/1.jpg", "https://host/1.jpg"):
        with pytest.raises(UsageError) as error:
            one_place(f"{place}?{query}", "data")
        assert "SECRET" not in str(error.value)


def test_files_of_the_web_are_to_be_downloaded() -> None:
    with pytest.raises(UsageError, match="download the files and give their folder"):
        one_place("https://host/photos.zip", "data")


@pytest.mark.parametrize("given", ["s3://b/x", Path("s3://b/x"), "/cwd/s3:/b/x", "http://user:secret@x/y"])
def test_where_only_a_path_is_meant_a_url_is_refused(given: str | Path) -> None:
    """A folder `s3:` was made of it once; and no password of a URL is shown."""
    with pytest.raises(UsageError, match="expected a path of this machine, found a URL") as error:
        one_path(given, "runs")
    assert "secret" not in str(error.value)
    assert one_path("file:///runs", "runs") == "/runs"


def test_a_url_that_was_a_path_is_refused_where_urls_are_taken() -> None:
    with pytest.raises(UsageError, match="give the URL as a text"):
        one_place(Path("s3://b/x"), "data")


@pytest.mark.parametrize(
    ("folder", "names", "joined"),
    [
        ("s3://b", ["x", "y.jpg"], "s3://b/x/y.jpg"),
        ("memory://", ["x"], "memory:///x"),
        ("s3://b/x", ["../y/./z"], "s3://b/y/z"),
        ("s3://b/x", ["/local/y"], "/local/y"),
        ("s3://b/x", ["gs://c/y"], "gs://c/y"),
        ("x", ["s3://b/y"], "s3://b/y"),
        ("x", ["../y"], "x/../y"),
    ],
)
def test_what_is_below_a_folder(folder: str, names: list[str], joined: str) -> None:
    assert join(folder, *names) == joined
    assert is_url(joined) == (":" in joined)


def test_nothing_is_above_a_bucket() -> None:
    assert folder_of("s3://b/x") == folder_of("s3://b") == "s3://b"
    assert folder_of("memory:///x") == "memory://"
    assert normal("s3://b/x/..") == "s3://b"
    with pytest.raises(DataError, match="leads out of the bucket"):
        join("s3://b/x", "../../y")


@pytest.mark.parametrize(
    ("path", "source", "shown"),
    [
        ("s3://b/photos/cat/1.jpg", "s3://b/photos", "cat/1.jpg"),
        ("s3://b/photos/cat/1.jpg", "s3://b/photos/list.csv", "cat/1.jpg"),
        ("s3://b/photos2/1.jpg", "s3://b/photos", "s3://b/photos2/1.jpg"),
        ("/disk/1.jpg", "s3://b/photos", "/disk/1.jpg"),
        ("s3://b/1.jpg", "/disk/list.csv", "s3://b/1.jpg"),
    ],
)
def test_a_path_below_the_data_set(path: str, source: str, shown: str) -> None:
    assert path_below(path, source) == shown


def test_no_two_files_get_one_name() -> None:
    assert below("/disk/a/1.jpg", "s3://b", "/disk") == "a/1.jpg"
    assert below("/other/1.jpg", "/disk") == "/other/1.jpg"


def test_a_folder_is_there_as_long_as_something_is_in_it() -> None:
    bucket = MemoryBucket()
    bucket.store("x/y.jpg", b"y")
    with bucket_in_place(bucket):
        found = [kind_of(url) for url in ("s3://b", "s3://b/x", "s3://b/x/y.jpg", "s3://b/x/y", "s3://b/z")]
    assert found == ["folder", "folder", "file", None, None]
