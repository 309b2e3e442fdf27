"""Options of reading data: in commands, in Python, and in the commands that `compare` prints."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

import featstore
from featstore.datasets.options import DataOptions
from featstore.datasets.sources import scan
from featstore.errors import UsageError
from helpers.cli import call
from helpers.photos import draw, write_photos

PIXELS = ("--model", "pixels", "--size", "8", "--cache", "cache")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Photos with their labels in the names, and no folders."""
    (tmp_path / "archive").mkdir()
    for kind in ("discs", "stripes"):
        for number in range(10):
            draw(kind, number).save(tmp_path / "archive" / f"{kind}.{number}.png")
    return tmp_path / "archive"


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder of links to photos elsewhere."""
    write_photos(tmp_path / "store", 10)
    for path in sorted((tmp_path / "store").rglob("*.png")):
        link = tmp_path / "linked" / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return tmp_path / "linked"


def test_labels_from_names_in_every_command(archive: Path) -> None:
    """Training, comparison, evaluation, extraction and scan; what was trained has the same classes."""
    given = ("--label-from", "{label}.#")
    done = call("train-head", "archive", *PIXELS, *given, "--set", "C=1", "--json")
    result = json.loads(done.out)
    assert result["classes"] == ["discs", "stripes"]
    assert result["data"]["layout"] == "labels from names like {label}.#"
    assert done.err.splitlines()[:2] == [
        "2 classes: discs 10, stripes 10",
        "2 classes: discs 6/2/2, stripes 6/2/2 (train/val/test)",
    ]
    done = call("compare", "archive", *PIXELS, *given, "--set", "C=1", "--json")
    [row] = json.loads(done.out)["rows"]
    assert "--label-from '{label}.#'" in row["command"]
    assert json.loads(done.out)["data"]["classes"]["discs"]["test"] == 2
    evaluated = json.loads(call("evaluate", result["run"], "archive", "--cache", "cache", *given, "--json").out)
    assert evaluated["metrics"]["test"]["n"] == 4
    assert evaluated["data"]["classes"]["discs"] == {"images": 10, "unsplit": 10}
    for command in (("extract", "archive", *PIXELS), ("scan", "archive", "--cache", "cache")):
        assert json.loads(call(*command, *given, "--json").out)["data"]["classes"].keys() == {"discs", "stripes"}


def test_the_commands_of_a_comparison_read_the_data_as_it_did(archive: Path) -> None:
    """With every option of a table, each under the name that the command line has for it."""
    rows = [f"{path.name},{path.name.split('.')[0]}" for path in sorted(archive.iterdir())]
    Path("tables").mkdir()
    Path("tables", "d.csv").write_text("\n".join(["photo of,kind of", *rows]))
    given = ("--images", "archive", "--path-column", "photo of", "--label-column", "kind of", "--follow-links")
    done = call("compare", "tables/d.csv", *PIXELS, *given, "--set", "C=1", "--json")
    [row] = json.loads(done.out)["rows"]
    words = shlex.split(row["command"])[1:]
    assert set(given) <= set(words)
    alone = json.loads(call(*words, "--json").out)
    assert alone["metrics"]["test"]["accuracy"] == row["accuracy"]


def test_names_that_look_like_labels_are_told_with_what_to_type(archive: Path) -> None:
    """In the spelling of the command line, and before anything is extracted."""
    done = call("train-head", "archive", *PIXELS)
    assert done.code == 1
    assert "--label-from '{label}.#' would read the labels discs, stripes from the names of the files" in done.err
    assert not Path("cache").exists()


def test_links_in_every_command(linked: Path) -> None:
    """Refused with the option that reads them, and read with it."""
    refused = call("train-head", "linked", *PIXELS)
    assert refused.code == 1
    assert "--follow-links reads them" in refused.err
    done = call("train-head", "linked", *PIXELS, "--follow-links", "--set", "C=1", "--json")
    run = json.loads(done.out)["run"]
    predicted = call("predict", run, "linked", "--cache", "cache", "--follow-links", "--json")
    assert len(json.loads(predicted.out)["predictions"]) == 20
    assert call("predict", run, "linked", "--cache", "cache").code == 1


def test_the_options_are_keywords_in_python(archive: Path, linked: Path) -> None:
    """Of each verb that takes data; a manifest was read before, so they come too late for it."""
    made = featstore.extract(linked, model="pixels", size=8, cache="cache", follow_links=True)
    assert len(made.manifest) == 20
    run = featstore.train_head(
        archive, "logistic", {"C": 1.0}, model="pixels", size=8, cache="cache", label_from="{label}.#"
    )
    assert run.classes == ("discs", "stripes")
    found = featstore.evaluate(run, archive, cache="cache", label_from="{label}.#")
    assert found.data.line() == "2 classes: discs 10, stripes 10"
    manifest = scan(archive, DataOptions(label_from="{label}.#"))
    with pytest.raises(UsageError, match="label_from='{label}.#': has no effect on a manifest"):
        featstore.train_head(manifest, model="pixels", size=8, label_from="{label}.#")


def test_groups_by_name_in_every_command(archive: Path) -> None:
    """Scan tells them, a run and a comparison count them, and the command of a row asks for them again."""
    given = ("--label-from", "{label}.#", "--group-by", r"\.(\d)\.")
    scanned = json.loads(call("scan", "archive", "--cache", "cache", *given, "--json").out)
    assert scanned["data"]["layout"].endswith(", 20 images in 10 groups by their names")
    trained = json.loads(call("train-head", "archive", *PIXELS, *given, "--set", "C=1", "--json").out)
    assert trained["metrics"]["test"]["groups"] == trained["metrics"]["test"]["n"] / 2
    done = call("compare", "archive", *PIXELS, *given, "--set", "C=1", "--folds", "5", "--json")
    [row] = json.loads(done.out)["rows"]
    assert (row["n"], row["groups"]) == (20, 10)
    assert r"--group-by '\.(\d)\.'" in row["command"]
    refused = call("scan", "archive", "--cache", "cache", "--group-by", "x(")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert refused.err.startswith("featstore: --group-by 'x(': is not a regular expression")
    assert (
        featstore.extract(archive, model="pixels", size=8, cache="cache", group_by=r"\.(\d)\.")
        .manifest.pictures[0]
        .group
        == "0"
    )
