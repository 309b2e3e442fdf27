"""`featstore predict` and `train-head` inside this process."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from featstore.cli.console import spreadsheet_text
from helpers.cli import Done, call
from helpers.photos import draw, write_photos

FIGURES = ["n", "accuracy", "accuracy_ci95", "log_loss"]
CLASSES = ["+plus", "=1+1", "@home", "grün"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of four classes, whose names a spreadsheet would calculate."""
    folder = tmp_path_factory.mktemp("work")
    for number, label in enumerate(CLASSES):
        (folder / "photos" / label).mkdir(parents=True)
        for image in range(6):
            draw("discs", 100 * number + image).save(folder / "photos" / label / f"{image}.png")
    return folder


@pytest.fixture(autouse=True)
def in_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)


def train(*arguments: object) -> Done:
    return call("train-head", "photos", "--model", "tiny", *arguments)


@pytest.fixture(scope="module")
def run(work: Path) -> str:
    done = call(
        "train-head", work / "photos", "--model", "tiny", "--cache", work / "cache", "--runs", work / "runs", "--json"
    )
    return str(json.loads(done.out)["run"])


def test_a_table_for_people(run: str) -> None:
    """A line per split, what was chosen, and where the run is; the run is not overwritten by the next one."""
    done = train()
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split()[:7] == ["split", "n", "accuracy", "95", "%", "interval", "commonest"]
    assert [line.split()[0] for line in lines[1:4]] == ["train", "val", "test"]
    assert lines[-2].startswith("logistic (C ")
    folder = Path(lines[-1].removeprefix("saved in "))
    assert (folder / "run.json").is_file()
    assert folder.name == f"{Path(run).name}-2"


def test_json_is_the_only_thing_on_standard_output() -> None:
    """The object of the description, with classes as they are called and no top-5 for four of them."""
    done = train("--json", "--set", "C=0.1", "--runs", "others")
    result = json.loads(done.out)
    settings = ["date", "command", "interrupted", "head", "parameters", "chosen", "temperature", "seed", "key"]
    assert list(result) == [
        "run",
        *settings,
        "classes",
        "metrics",
        "folds",
        "seconds",
        "notes",
        "remarks",
        "data",
        "skipped",
    ]
    assert result["chosen"] == {"C": 0.1}
    assert result["command"].startswith("featstore train-head photos --model tiny --json --set C=0.1")
    assert result["classes"] == CLASSES
    assert list(result["metrics"]) == ["train", "val", "test"]
    assert all([name for name in m if name in FIGURES] == FIGURES for m in result["metrics"].values())
    assert list(result["seconds"]) == ["features", "fit", "total"]
    assert Path(result["run"]).parent == Path("others")


def test_quiet_prints_the_folder_of_the_run(tmp_path: Path) -> None:
    """And nothing else, so that a script can use it."""
    done = train("--quiet", "--name", "mine", "--runs", tmp_path)
    assert (done.code, done.out) == (0, f"{tmp_path / 'mine'}\n")
    assert (tmp_path / "mine" / "run.json").is_file()
    again = train("--quiet", "--name", "mine", "--runs", tmp_path)
    assert (again.code, again.out) == (1, "")
    assert (
        again.err
        == f"featstore: {tmp_path / 'mine'}: there is one already; give another --name, or remove that folder\n"
    )


def test_top_5_is_reported_from_six_classes_on(tmp_path: Path) -> None:
    """In the table and in the JSON."""
    for label in range(6):
        (tmp_path / "six" / str(label)).mkdir(parents=True)
        for number in range(5):
            draw("stripes", 10 * label + number).save(tmp_path / "six" / str(label) / f"{number}.png")
    assert "top-5" in call("train-head", tmp_path / "six", "--model", "tiny").out.splitlines()[0]
    metrics = json.loads(call("train-head", tmp_path / "six", "--model", "tiny", "--json").out)["metrics"]
    assert all(m["top5"] >= m["accuracy"] for m in metrics.values())


def test_a_leak_is_a_warning_beside_the_result(tmp_path: Path) -> None:
    """Copies of training images among the test images: the result comes, and a line says not to trust it."""
    write_photos(tmp_path / "data" / "train", 4)
    write_photos(tmp_path / "data" / "test", 1)
    done = call("train-head", tmp_path / "data", "--model", "tiny", "--json")
    assert done.code == 0
    result = json.loads(done.out)
    classes, *_, leak = done.err.splitlines()[:3]
    assert classes == "2 classes: discs 4/1, stripes 4/1 (train/test)"
    assert leak.startswith("warning: 2 held-out images are byte for byte in the training split too")
    assert leak == f"warning: {result['notes'][0]}"
    assert result["data"]["classes"]["discs"] == {"images": 5, "train": 3, "val": 1, "test": 1}


@pytest.mark.parametrize(
    "settings, message",
    [
        (["C=x"], "expected a number above 0"),
        (["C=nan"], "expected a number above 0"),
        (["folds=1"], "expected a whole number of at least 2"),
        (["depth=3"], "head logistic has no parameter 'depth': it takes C, folds, max_iter"),
    ],
)
def test_settings_that_cannot_be_are_usage_errors(settings: list[str], message: str) -> None:
    """Before anything is extracted, and in one line."""
    done = train("--cache", "untouched", *(text for item in settings for text in ("--set", item)))
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not Path("untouched").exists()


@pytest.mark.parametrize("rate", ["nan", "1e30", "inf"])
def test_a_training_that_diverges_is_an_error(rate: str) -> None:
    """No run is kept whose probabilities are no numbers."""
    done = train("--head", "bn-dropout", "--set", f"rate={rate}", "--set", "epochs=3", "--runs", "diverged")
    assert done.code == 2
    assert "rate" in done.err
    assert not Path("diverged").exists()


def test_predictions_in_the_order_given(run: str) -> None:
    """Folders are sorted, files stand where they were named, twice if they were named twice."""
    given = ["photos/grün/3.png", "photos/=1+1", "photos/grün/3.png"]
    result = json.loads(call("predict", run, *given, "--json").out)
    paths = [item["path"] for item in result["predictions"]]
    assert paths == [given[0], *(f"photos/=1+1/{n}.png" for n in range(6)), given[2]]
    assert result["predictions"][0] == result["predictions"][-1]
    assert list(result["predictions"][0]["probabilities"]) == CLASSES


def test_a_table_of_predictions(run: str) -> None:
    """Path, label, probability and its strength in words, of each image."""
    done = call("predict", run, "photos/grün/3.png")
    header, line = done.out.splitlines()
    assert header.split() == ["image", "label", "probability", "strength"]
    assert line.split()[0] == "photos/grün/3.png"
    assert line.split()[1] in CLASSES


def test_the_most_probable_classes(run: str) -> None:
    """In the table and as JSON, the most probable first; there are no more of them than classes."""
    done = call("predict", run, "photos/grün/3.png", "--top", "3")
    header, line = done.out.splitlines()
    assert header.split("  ")[0] == "image"
    assert [cell for cell in header.split("  ") if cell.strip()][-1].strip() == "probability 3"
    cells = dict(zip(*(re.split(r"  +", text.strip()) for text in (header, line)), strict=True))
    shares = [float(cell) for name, cell in cells.items() if name.startswith("probability")]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 3
    [image] = json.loads(call("predict", run, "photos/grün/3.png", "--top", "99", "--json").out)["predictions"]
    assert sorted(label for label, _ in image["top"]) == CLASSES
    assert image["top"][0] == [image["label"], image["probability"]]
    assert dict(image["top"]) == image["probabilities"]


def test_answers_that_may_be_unsure(run: str, tmp_path: Path) -> None:
    """On the screen, in the CSV and as JSON. Four validation images can promise 0.8, and nine 0.9."""
    done = call("predict", run, "photos/grün", "--unsure", "0.8", "--csv", tmp_path / "out.csv")
    header, *lines, promise = done.out.splitlines()
    assert header.split() == ["image", "label", "probability", "strength", "answer"]
    assert len(lines) == 6
    assert "the right class is among them for 0.8 of images like those of validation, or more" in promise
    result = json.loads(call("predict", run, "photos/grün", "--unsure", "0.8", "--json").out)
    assert result["unsure"] == 0.8
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for image, row in zip(result["predictions"], rows, strict=True):
        assert image["answers"][0] == image["label"]
        assert row["answers"].removeprefix("'") == "|".join(image["answers"])
        assert row["strength"] == image["strength"]
    refused = call("predict", run, "photos/grün", "--unsure", "0.9")
    assert refused.code == 2
    assert refused.err.startswith("featstore: --unsure 0.9: needs 9 validation images, or groups of them, found ")
    assert refused.err.count("\n") == 1


def test_a_spreadsheet_calculates_nothing(run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths and labels that begin like a formula get a quote; the columns of classes begin with `p:`."""
    monkeypatch.chdir(tmp_path)
    names = [
        "=cmd.png",
        "+A1(2).png",
        "-2+3|x.png",
        "@x.png",
        "-1.png",
        "+ a-b.png",
        "plain,with comma.png",
        "line\nbreak.png",
    ]
    for number, name in enumerate(names):
        draw("discs", number).save(name)
    assert call("predict", run, "--csv", "out.csv", "--quiet", "--", *names).code == 0
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    quoted = [spreadsheet_text(name) for name in CLASSES]
    assert rows[0] == ["path", "label", "strength", *(f"p:{name}" for name in CLASSES)]
    assert [row[0] for row in rows[1:]] == [f"'{name}" for name in names[:4]] + names[4:]
    assert all(row[1] in quoted for row in rows[1:])
    assert all(sum(map(float, row[3:])) == pytest.approx(1, abs=1e-5) for row in rows[1:])


def test_a_number_with_a_sign_is_no_formula() -> None:
    """The class -1 is read again as -1; what could calculate something gets a quote."""
    for text in ("-1", "+1", "-1.5", "+plus", "- a, b/c_d.png", "-é"):
        assert spreadsheet_text(text) == text
    for text in ("-2+3", "+A1(2)", "-cmd|x", "=1", "@x", "-a!b", "\t-1", "'-1", "-a\nb"):
        assert spreadsheet_text(text) == f"'{text}"


def test_numbers_are_refused_where_they_may_be_shifted(run: str, tmp_path: Path) -> None:
    """By a folder's order or a file that is skipped; the rows of a table of pixels are safe."""
    (tmp_path / "broken.png").write_bytes(b"no image")
    image = "photos/grün/3.png"
    (tmp_path / "table.csv").write_text(f"path\n{Path(image).resolve()}\n{tmp_path / 'gone.png'}\n", encoding="utf-8")
    file = tmp_path / "out.csv"
    wanted = ("--csv", file, "--columns", "Id=number,Label=label", "--quiet")
    for names in (["photos"], [image, tmp_path / "broken.png"], [tmp_path / "table.csv"]):
        done = call("predict", run, *names, *wanted)
        assert done.code == 2
        assert "--columns: `number` counts the rows" in done.err
        assert not file.exists()
    header, row = ",".join(f"pixel{place}" for place in range(64)), ",".join(["0", "255"] * 32)
    (tmp_path / "pixels.csv").write_text(f"{header}\n{row}\n{row}\n")
    assert call("predict", run, tmp_path / "pixels.csv", *wanted).code == 0
    assert [line[:2] for line in file.read_text(encoding="utf-8").splitlines()] == ["Id", "1,", "2,"]


def test_a_csv_as_a_competition_wants_it(run: str) -> None:
    """Columns are named and chosen; what is not known is refused before anything is computed."""
    names = ["photos/grün/3.png", "photos/@home/1.png"]
    columns = "ImageId=stem,Label=label,number,p:grün"
    assert call("predict", run, *names, "--csv", "out.csv", "--columns", columns, "--quiet").code == 0
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["ImageId", "Label", "number", "p:grün"]
    assert [row[0] for row in rows[1:]] == ["3", "1"]
    assert [row[2] for row in rows[1:]] == ["1", "2"]
    assert all(0 <= float(row[3]) <= 1 for row in rows[1:])
    done = call("predict", run, *names, "--csv", "out.csv", "--columns", "id=nothing")
    assert done.code == 2
    assert "'nothing' is not known: use path, name, stem, number, label, probability, strength or p:" in done.err
    assert "has no effect without --csv" in call("predict", run, *names, "--columns", "path").err


def test_a_csv_on_standard_output_is_all_that_is_there(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` is no file, and the table would break the CSV; --json needs standard output for itself."""
    monkeypatch.chdir(tmp_path)
    draw("discs", 1).save("a.png")
    done = call("predict", run, "a.png", "--csv", "-")
    rows = list(csv.reader(done.out.splitlines()))
    assert [row[0] for row in rows] == ["path", "a.png"]
    assert not Path("-").exists()
    done = call("predict", run, "a.png", "--csv", "-", "--json")
    assert (done.code, done.out) == (2, "")
    assert "standard output is taken by --json" in done.err


def test_a_csv_goes_where_a_link_leads(run: str, tmp_path: Path) -> None:
    """As with any other output: /dev/stdout and a link of the user's are written to, not replaced."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "real" / "out.csv")
    assert call("predict", run, "photos/grün", "--csv", tmp_path / "link.csv", "--quiet").code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real" / "out.csv").read_text().startswith("path,label")


def test_a_csv_that_cannot_be_written_is_an_error(run: str, tmp_path: Path) -> None:
    """The message names the file and the option."""
    done = call("predict", run, "photos/grün", "--csv", tmp_path / "nowhere" / "out.csv")
    assert done.code == 1
    assert (
        f"out.csv: cannot be written: there is no folder {tmp_path / 'nowhere'}; choose another file for --csv"
        in done.err
    )
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("command", [("predict", "photos/grün", "--csv"), ("evaluate", "photos", "--confusion")])
def test_a_full_disk_at_the_end(run: str, command: tuple[str, str, str]) -> None:
    """The table is printed, and the exit code says that a file is missing."""
    verb, data, option = command
    done = call(verb, run, data, option, "/dev/full")
    assert done.code == 1
    assert done.out.count("\n") > 2
    assert done.err.endswith(f"No space left on device; choose another file for {option}\n")


def test_unreadable_images_are_listed(run: str, tmp_path: Path) -> None:
    """They are no reason to fail, unless --strict says so or nothing else is left."""
    (tmp_path / "broken.png").write_bytes(b"x")
    (tmp_path / "empty.png").touch()
    bad = [tmp_path / "broken.png", tmp_path / "empty.png", tmp_path / "missing.png"]
    done = call("predict", run, bad[0], "photos/grün/0.png", *bad[1:], "--json")
    assert done.code == 0
    result = json.loads(done.out)
    assert len(result["predictions"]) == 1
    assert {Path(item["path"]).name for item in result["skipped"]} == {"broken.png", "empty.png", "missing.png"}
    assert call("predict", run, *bad, "photos/grün/0.png", "--strict").code == 1
    only = call("predict", run, *bad)
    assert only.code == 1
    assert "none of 3 files can be used" in only.err


def test_an_exchanged_head_is_not_loaded(run: str, tmp_path: Path) -> None:
    """One line says that it is not the one that was saved."""
    shutil.copytree(run, tmp_path / "run")
    file = tmp_path / "run" / "head.npz"
    os.truncate(file, file.stat().st_size - 1)
    done = call("predict", tmp_path / "run", "photos/grün/0.png")
    assert done.code == 1
    assert "is not the head that this run saved" in done.err


def test_a_run_of_a_stranger_cannot_name_files_of_ours(run: str, tmp_path: Path) -> None:
    """The head is looked for in the run's own folder only."""
    shutil.copytree(run, tmp_path / "run")
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(content | {"head_file": "../../etc/passwd"}))
    done = call("predict", tmp_path / "run", "photos/grün/0.png")
    assert done.code == 1
    assert "the head is outside the run's folder" in done.err


def test_a_sheet_shows_the_answers(run: str) -> None:
    """Beside the table; a PDF too, and another ending is refused before anything is read."""
    done = call("predict", run, "photos", "--sheet", "sheet.png")
    assert (done.code, len(done.out.splitlines())) == (0, 1 + 24)
    assert Path("sheet.png").read_bytes().startswith(b"\x89PNG")
    assert call("predict", run, "photos", "--sheet", "sheet.pdf", "--quiet").code == 0
    assert Path("sheet.pdf").read_bytes().startswith(b"%PDF")
    done = call("predict", "no such run", "photos", "--sheet", "sheet.jpg")
    assert (done.code, done.err) == (
        2,
        "featstore: --sheet sheet.jpg: expected a name that ends in .png or .pdf\n",
    )
