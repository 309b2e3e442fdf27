"""`featstore audit` and `featstore.audit`: one result in all its forms, an exit code for CI, and no file touched."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from featstore import audit
from featstore.errors import UsageError
from helpers.audits import copy_file, write_splits
from helpers.cli import call

PIXELS = ("--model", "pixels", "--size", "16", "--cache", "cache")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    photos = write_splits(folder / "photos", 8, 2, 4)
    copy_file(photos, "test/discs/010.png", "train/discs/copy.png")
    return folder


@pytest.fixture(autouse=True)
def in_the_folder(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)


def test_the_leak_comes_before_any_accuracy(work: Path) -> None:
    """In the first line; and what was done to the images is nothing."""
    before = {file: file.read_bytes() for file in (work / "photos").rglob("*") if file.is_file()}
    done = call("audit", "photos", *PIXELS, "--fix-split", "fixed.csv")
    assert done.code == 0
    assert done.out.startswith("do not believe the figures yet: leaks between splits (1 of 8 test images (12%)")
    assert "test/discs/010.png\n  = train/discs/copy.png" in done.out
    assert "--fix-split fixed.csv writes a table" in done.out
    assert {file: file.read_bytes() for file in (work / "photos").rglob("*") if file.is_file()} == before
    mended = call("audit", "fixed.csv", *PIXELS, "--fail-on", "leaks,conflicts")
    assert mended.code == 0
    assert mended.out.startswith("nothing was found that makes the figures wrong")


def test_the_result_is_the_same_in_all_its_forms(work: Path) -> None:
    """As an object on standard output, as a file, as a table and in Python."""
    printed = json.loads(call("audit", "photos", *PIXELS, "--json", "--out", "audit.json", "--csv", "audit.csv").out)
    assert json.loads((work / "audit.json").read_text()) == printed
    found = audit("photos", model="pixels", size=16, cache="cache", fix_split="python.csv")
    kept = found.describe()
    assert {**kept, "checks": 0, "features": 0} == {**printed, "checks": 0, "features": 0}
    assert [c["verdict"] for c in kept["checks"]] == [c["verdict"] for c in printed["checks"]]
    rows = list(csv.DictReader(io.StringIO((work / "audit.csv").read_text(), newline="")))
    assert rows[0]["check"] == "leaks"
    assert call("audit", "photos", *PIXELS, "--csv", "-").out == (work / "audit.csv").read_text()
    assert (work / "python.csv").read_text().count("\n") == 30


@pytest.mark.parametrize(("names", "code"), [("leaks", 3), ("alarm", 3), ("look", 3), ("conflicts,duplicates", 0)])
def test_ci_is_told_by_the_exit_code(names: str, code: int) -> None:
    """3 if a check that is named has something to say, with the reason on standard error."""
    done = call("audit", "photos", *PIXELS, "--fail-on", names, "--quiet")
    assert (done.code, done.out) == (code, "")
    assert ("--fail-on leaks: 1 of 8 test images (12%) is in an earlier split too" in done.err) == (code == 3)


def test_names_and_files_are_checked_before_the_work() -> None:
    """In one line each."""
    done = call("audit", "photos", *PIXELS, "--fail-on", "leeks")
    assert (done.code, "--fail-on leeks: is not known; use alarm, look, leaks, conflicts" in done.err) == (2, True)
    assert call("audit", "photos", *PIXELS, "--fix-split", "no/such.csv").code == 1
    assert call("audit", "photos", *PIXELS, "--csv", "-", "--json").code == 2
    with pytest.raises(UsageError, match="2 sets of features, but an audit rests on one"):
        audit("photos", model="pixels", size=[8, 16])


def test_two_files_cannot_both_be_standard_output() -> None:
    """They would run into one another."""
    done = call("audit", "photos", *PIXELS, "--csv", "-", "--fix-split", "-")
    assert (done.code, done.out) == (2, "")
