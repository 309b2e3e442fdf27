"""An audit of hostile or degenerate sets ends with a verdict, and no name or label in it does anything."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from featstore.auditing.job import CHECKS
from featstore.auditing.result import Audit
from helpers.audits import audit_photos
from helpers.photos import draw, write_photos

MARKUP = "<img src=x onerror=alert(1)>"
NAMES = ("new\nline.png", "=cmd|.png", "\x1b[31mred.png", "\u202egnp.png", f"{MARKUP}.png", "a,b;'\".png")


def write_hostile(folder: Path) -> None:
    """Two ordinary classes, in which names, files and links are hostile; and a class with one image and markup."""
    write_photos(folder, 12)
    for number, name in enumerate(NAMES):
        draw("discs", 100 + number).save(folder / "discs" / name)
    (folder / "discs" / "copy.png").write_bytes((folder / "discs" / NAMES[0]).read_bytes())
    with open(os.fsencode(folder / "stripes") + b"/\xff\xfe.png", "wb") as file:
        draw("stripes", 100).save(file, "PNG")
    (folder / MARKUP).mkdir()
    draw("stripes", 200).save(folder / MARKUP / "only.png")
    (folder / "discs" / "empty.jpg").write_bytes(b"")
    (folder / "discs" / "text.png").write_text("no image")
    (folder / "discs" / "half.png").write_bytes((folder / "discs" / "001.png").read_bytes()[:200])
    (folder / "stripes" / "dangling.png").symlink_to("/nowhere")
    (folder / "stripes" / "outside").symlink_to("/usr")


def write_single_images(folder: Path) -> None:
    for number, label in enumerate("abcd"):
        (folder / label).mkdir(parents=True)
        draw("discs", number).save(folder / label / "1.png")


def write_one_class(folder: Path) -> None:
    (folder / "a").mkdir(parents=True)
    for number in range(12):
        draw("discs", number).save(folder / "a" / f"{number}.png")


def write_unlabelled(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(12):
        draw("discs", number).save(folder / f"{number}.png")


def write_copies_of_one(folder: Path) -> None:
    for label in "ab":
        (folder / label).mkdir(parents=True)
        for number in range(12):
            draw("discs", 0).save(folder / label / f"{number}.png")


def write_uniform(folder: Path) -> None:
    for label, blue in (("a", 0), ("b", 200)):
        (folder / label).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (20, 20), (number, number, blue)).save(folder / label / f"{number}.png")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder = tmp_path_factory.mktemp("hostile") / "photos"
    write_hostile(folder)
    return audit_photos(folder)


@pytest.mark.parametrize(
    "write", [write_single_images, write_one_class, write_unlabelled, write_copies_of_one, write_uniform]
)
def test_a_degenerate_set_has_a_verdict_of_every_check(write: Callable[[Path], None], tmp_path: Path) -> None:
    """What a check cannot be done on is said, in one sentence."""
    write(tmp_path / "photos")
    audit = audit_photos(tmp_path / "photos")
    assert len(audit.checks) == len(CHECKS)
    assert all(check.verdict for check in audit.checks)
    json.dumps(audit.describe(), allow_nan=False)
    assert str(audit)


def test_every_check_is_there_once(hostile: Audit) -> None:
    """A name stands for one check in JSON, in the CSV and in `--fail-on`."""
    names = [check.name for check in hostile.checks]
    assert len(names) == len(set(names)) == len(CHECKS)


def test_what_cannot_be_read_is_listed(hostile: Audit) -> None:
    """And the other images are audited."""
    files = {Path(finding.paths[0]).name for finding in hostile["unreadable"].findings}
    assert {"empty.jpg", "text.png", "half.png", "dangling.png", "outside"} <= files
    assert len(hostile.images) == 24 + len(NAMES) + 3


def test_no_name_controls_the_terminal(hostile: Audit) -> None:
    """Neither escape sequences nor line ends nor marks of direction come through."""
    assert not {"\x1b", "\u202e"} & set(str(hostile))
    assert "new\nline" not in str(hostile)


def test_no_name_is_markup(hostile: Audit) -> None:
    """A class and a file have a script as their name."""
    assert MARKUP not in hostile._repr_html_()


def test_json_and_csv_hold_every_name(hostile: Audit) -> None:
    """Whatever is in it, a name is one value and one cell, and no cell is a formula."""
    assert json.loads(json.dumps(hostile.describe(), allow_nan=False))
    rows = list(csv.reader(hostile.to_csv().decode("utf-8", "surrogateescape").splitlines(keepends=True)))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "@", "\t"))]
