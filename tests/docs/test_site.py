"""The site: what is generated is up to date, it builds without a warning, and every file that it names exists."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

import featstore
from helpers.paths import ROOT

DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def test_the_reference_of_commands_is_up_to_date() -> None:
    """Else run `python scripts/cli_reference.py`."""
    done = subprocess.run(
        [sys.executable, "scripts/cli_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_site_builds(tmp_path: Path) -> None:
    """In strict mode, which fails for a link or a reference that leads nowhere; nothing in it comes from elsewhere."""
    for name in ("docs", "mkdocs.yml", "featstore"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").glob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").glob("*.md")))
    report = Path("example", "report.html")
    assert (tmp_path / "site" / report).read_bytes() == (ROOT / "docs" / report).read_bytes()
    for page in pages:
        loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*?(?:src|href)=[\"']?(\S+?)[\"'>\s]", page.read_text())
        assert loaded
        assert not [address for address in loaded if re.match("(https?:)?//", address)], page


def test_the_python_page_has_every_name() -> None:
    """No more and no fewer than `featstore` exports."""
    assert sorted(re.findall(r"^::: featstore\.(\w+)$", (ROOT / "docs/api.md").read_text(), re.M)) == featstore.__all__


def test_links_to_files_lead_to_files() -> None:
    """Images too, which the strict mode of the site does not look for."""
    for path in [*DOCUMENTS, *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
            assert re.match("https?://", link) or (path.parent / link).exists(), f"{path.name}: {link}"


def test_every_image_is_shown() -> None:
    """None is left over."""
    shown = {
        link for path in (ROOT / "docs").glob("*.md") for link in re.findall(r"\(images/(.*?)\)", path.read_text())
    }
    assert shown == set(os.listdir(ROOT / "docs/images"))


def test_the_picture_of_the_readme_can_be_drawn(tmp_path: Path) -> None:
    """From digits and what `featstore quickstart --json` prints of its runs."""
    Image.new("L", (8, 8)).save(tmp_path / "digit.png")
    metrics = {"test": {"accuracy": 0.9, "accuracy_ci95": [0.8, 1.0]}}
    runs = [{"head": name, "metrics": metrics} for name in ("bn-dropout", "logistic")]
    script = runpy.run_path(str(ROOT / "scripts/overview.py"))
    script["draw"]([tmp_path / "digit.png"] * 12, runs, tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn, Image.open(script["PICTURE"]) as kept:
        assert drawn.size == kept.size


def test_ci_runs_what_the_readme_says() -> None:
    """The set-up and the tests, with every other check between them."""
    assert "'.[dev]' && pytest" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci/run").read_text().splitlines()[-2:] == [
        "python -m pip install --quiet '.[dev]'",
        "scripts/check",
    ]
    assert (ROOT / "scripts/check").read_text().splitlines()[-1] == 'pytest "$@"'


def test_changes_are_listed_in_the_form_of_keep_a_changelog() -> None:
    """Version 1.1.0: Unreleased first, then releases with their dates; changes in groups of the six kinds."""
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    releases = [line for line in lines if line.startswith("## ")]
    kinds = [line for line in lines if line.startswith("### ")]
    assert releases[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", line) for line in releases[1:])
    assert set(kinds) <= {f"### {kind}" for kind in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")}
    assert kinds
