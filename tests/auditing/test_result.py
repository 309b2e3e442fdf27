"""An audit as JSON, as CSV and as text: stable, safe to open and to print, and as wide as a page."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from featstore.auditing.findings import Check, Finding
from featstore.auditing.result import COLUMNS, Audit
from featstore.errors import StoreError
from helpers.audits import audit_photos, copy_file, write_splits


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    photos = write_splits(tmp_path_factory.mktemp("result") / "=photos", 4, 2, 3)
    copy_file(photos, "test/discs/006.png", "train/stripes/@a.png")
    (photos / "train" / "discs" / "broken.png").write_bytes(b"no image")
    return audit_photos(photos)


def test_json_has_its_format_and_version(audit: Audit, tmp_path: Path) -> None:
    """Programs that read it see at once whether they can."""
    kept = json.loads(audit.save(tmp_path / "audit.json").read_text())
    assert (kept["format"], kept["version"]) == ("featstore-audit", 1)
    assert kept == json.loads(json.dumps(audit.describe()))
    assert kept["believable"] is False
    assert [check["name"] for check in kept["checks"]] == [check.name for check in audit.checks]
    assert kept["fix"]["moves"][0]["after"] == "test"


def test_csv_has_a_row_for_each_finding(audit: Audit, tmp_path: Path) -> None:
    """With split and label of the image, and its partners; no cell is a formula of a spreadsheet."""
    table = audit.save(tmp_path / "audit.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == sum(len(check.findings) for check in audit.checks)
    leak = next(row for row in rows if row["check"] == "leaks")
    assert (leak["split"], leak["label"], leak["kind"], leak["score"]) == ("test", "discs", "bytes", "1")
    assert leak["partner"].endswith("train/stripes/@a.png")
    left_out = next(row for row in rows if row["check"] == "unreadable")
    assert left_out["text"] == "is not a readable JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF, JPEG 2000 or PPM image"
    formula = replace(audit, checks=(_check(Finding(("=a.png",), "-1+cmd()", 0.5, "dark")),))
    [row] = csv.DictReader(io.StringIO(formula.to_csv().decode(), newline=""))
    assert (row["path"], row["text"]) == ("'=a.png", "'-1+cmd()")


def test_text_fits_a_page_and_cannot_control_a_terminal(audit: Audit) -> None:
    """Verdicts are wrapped, names are escaped; the most serious check comes first, and each has its line."""
    hostile = _check(Finding((f"{audit.source}/\x1b[31m.png", "b.png"), "x " * 60, 1.0, "dark"), verdict="very " * 40)
    lines = str(replace(audit, checks=(*audit.checks, hostile))).splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("\x1b" in line for line in lines)
    assert lines[0].startswith("do not believe the figures yet: leaks between splits (1 of 6 test images (17%)")
    starts = [line.split(":")[0] for line in lines if line[:7].strip() in ("alarm", "look", "note", "fine")]
    assert starts[0] == "alarm  Leaks between splits"
    assert len(starts) == len(audit.checks) + 1


def test_checks_are_found_by_name_and_by_weight(audit: Audit) -> None:
    """`look` stands for what is more serious too; a check that is fine never fails."""
    assert [check.name for check in audit.failing(["alarm"])] == ["leaks"]
    assert {check.name for check in audit.failing(["look"])} >= {"leaks", "conflicts", "unreadable"}
    assert audit.failing(["duplicates"]) == []
    assert [check.name for check in audit.failing(["unreadable"])] == ["unreadable"]
    with pytest.raises(KeyError):
        audit["nonsense"]


def test_without_splits_there_is_none_to_mend(audit: Audit, tmp_path: Path) -> None:
    """It is said, and no file is written."""
    with pytest.raises(StoreError, match="has no splits, and none can be made"):
        replace(audit, fix=None).save_fixed_split(tmp_path / "fixed.csv")
    assert not (tmp_path / "fixed.csv").exists()


def _check(finding: Finding, verdict: str = "one image is dark") -> Check:
    return Check(name="problems", title="problems", weight="look", verdict=verdict, findings=(finding,))
