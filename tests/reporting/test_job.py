"""A report from images to a page: its figures are those of --json and of the other commands, and trust comes first."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import featstore
from featstore import LeakWarning, Report, UsageError
from featstore.errors import DataError
from featstore.reporting import composing
from featstore.reporting import job as report_job
from featstore.reporting.measuring import measure_run
from featstore.sweeping import job as sweep_job
from helpers.cli import Done, call
from helpers.photos import draw, write_photos

PIXELS: dict[str, Any] = {"model": "pixels", "size": 16}
WORDS = ("--model", "pixels", "--size", "16", "--head", "ridge", "--trials", "3")


@pytest.fixture(scope="module", autouse=True)
def one_process() -> Iterator[None]:
    """Heads are tried in this process: others take seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_job, "default_threads", lambda: 1)
        yield


def write_data(folder: Path) -> Path:
    for split, each, first in (("train", 16, 0), ("val", 6, 16), ("test", 10, 22)):
        write_photos(folder / split, each, first)
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_data(folder / "photos")
    return folder


def report(work: Path, folder: Path, **options: Any) -> Report:
    given = {"heads": "ridge", "trials": 3, "cache": work / "cache", "runs": folder / "runs", **PIXELS, **options}
    return featstore.report(work / "photos", out=folder / "report.html", **given)


def on_cli(work: Path, folder: Path, *words: object) -> Done:
    return call("report", *words, "--cache", work / "cache", "--out", folder / "report.html")


@pytest.fixture(scope="module")
def made(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return report(work, tmp_path_factory.mktemp("made"))


def figures_on(page: Path) -> dict[str, Any]:
    """The figures that a page was made from, as it holds them."""
    [text] = re.findall(
        r'<script type="application/json" id="page-figures">(.*?)</script>', page.read_text(), re.DOTALL
    )
    return dict(json.loads(text))


TIMES = {"seconds", "seconds_fit", "created", "date"}
PLACES = {"folder", "journal", "commands", "head_sha256"}


def steady(value: Any) -> Any:
    """JSON values without times and places."""
    if isinstance(value, dict):
        return {name: steady(some) for name, some in value.items() if name not in TIMES | PLACES}
    return [steady(some) for some in value] if isinstance(value, list) else value


def test_the_page_and_json_have_the_same_figures(work: Path, tmp_path: Path) -> None:
    """And no network is loaded for them, where the head is none."""
    before = {"tensorflow", "keras"} & sys.modules.keys()
    done = on_cli(work, tmp_path, work / "photos", *WORDS, "--runs", tmp_path / "runs", "--json")
    assert done.code == 0, done.err
    assert {"tensorflow", "keras"} & sys.modules.keys() == before
    printed, page = json.loads(done.out), tmp_path / "report.html"
    assert (printed.pop("report"), printed.pop("bytes")) == (str(page), page.stat().st_size)
    assert printed.pop("skipped") == []
    assert figures_on(page) == printed


def test_figures_are_those_of_the_other_commands(work: Path, made: Report) -> None:
    [run] = made.content.runs
    assert made.content.sweep
    assert run == featstore.load_run(made.content.sweep.run.folder)
    measured = featstore.evaluate(run.folder, work / "photos", cache=work / "cache")
    assert measured.metrics == run.metrics
    answers = {answer.path: answer for answer in map(measured.answers.__getitem__, range(len(measured.answers)))}
    for image in made.content.images:
        answer = answers[image.file]
        assert (image.answer, image.probability, image.of_label) == (
            answer.answer,
            answer.probability,
            answer.probability_of_label,
        )
        assert (image.label, image.split) == (answer.label, answer.split)
        assert image.path == str(Path(image.file).relative_to(work / "photos"))
    learned = featstore.learning_curve(work / "photos", "ridge", run.parameters, cache=work / "cache", **PIXELS)
    assert made.content.learning
    accuracies = [
        [point.accuracy for point in curve.heads["ridge"].points] for curve in (made.content.learning, learned)
    ]
    assert accuracies[0] == accuracies[1]
    assert accuracies[0][-1] == run.metrics["test"].accuracy


def test_the_summary_is_the_figures(made: Report) -> None:
    [run], summary = made.content.runs, " ".join(made.content.summary)
    test = run.metrics["test"]
    assert f"is right for {round(test.accuracy * 20)} of 20 test images: accuracy {test.accuracy:.3f} [" in summary
    assert "would be right for 0.500 of them" in summary
    assert made.content.sweep is not None
    trials = f"{made.content.sweep.tried} trials, each a head with its parameters, were measured on the 44 images"
    assert trials in summary
    wrong = [image for image in made.content.images if image.is_wrong and image.split == "test"]
    assert (f"Look at the {len(wrong)} wrong test answer" in summary) == bool(wrong)
    assert f"featstore predict {run.folder} PHOTOS" in summary
    assert all(re.fullmatch(r"[A-Z`\d].*\.", sentence) for sentence in made.content.summary)
    assert made.content.summary == tuple(str(made).splitlines()[: len(made.content.summary)])


def test_the_same_seed_makes_the_same_page(work: Path, made: Report, tmp_path: Path) -> None:
    again = report(work, tmp_path)
    first, second = (steady(found.content.describe()) for found in (made, again))
    assert "The head is saved in" in first["summary"].pop()
    assert "The head is saved in" in second["summary"].pop()
    assert first == second
    assert again.content.images == made.content.images  # with their places on the map


@pytest.mark.parametrize("copies", [1, 10])
def test_a_leak_is_told_before_any_accuracy(tmp_path: Path, copies: int) -> None:
    """However slight it is; where it is not, the figures are not to be believed."""
    write_data(tmp_path / "photos")
    for number in range(copies):
        shutil.copy(tmp_path / f"photos/train/discs/{number:03d}.png", tmp_path / f"photos/test/discs/{number}.png")
    told = f"{copies} of {20 + copies} test images"
    with pytest.warns(LeakWarning, match=told):
        found = report(tmp_path, tmp_path)
    assert found.content.summary[0].startswith("Do not believe the figures yet") == (copies == 10)
    sentences = " ".join(found.content.summary)
    assert sentences.index(told) < sentences.index("is right for")
    page = found.path.read_text()
    assert page.index(told) < page.index("is right for")


def test_a_leak_is_told_while_the_job_runs(tmp_path: Path) -> None:
    write_data(tmp_path / "photos")
    shutil.copy(tmp_path / "photos/train/discs/000.png", tmp_path / "photos/test/discs/copy.png")
    done = on_cli(tmp_path, tmp_path, tmp_path / "photos", *WORDS, "--runs", tmp_path / "runs", "--no-images")
    assert done.err.index("warning: 1 of 21 test images") < done.err.index("trial 1, the best so far")
    assert done.out.index("1 of 21 test images") < done.out.index("is right for")


def test_without_an_audit_the_page_says_so(work: Path, tmp_path: Path) -> None:
    found = report(work, tmp_path, audit=False)
    assert found.content.audit is None
    assert found.content.summary[0].startswith("The data were not audited")
    assert found.alarms == ()


def test_a_page_for_private_images_has_none(work: Path, made: Report, tmp_path: Path) -> None:
    """Neither thumbnails nor heat maps; the paths stay, or nobody could act on it."""
    found = report(work, tmp_path, images=False)
    with_them, without = made.path.read_text(), found.path.read_text()
    assert "data:image" in with_them
    assert "data:image" not in without
    assert (found.content.explanations, found.content.with_images) == ({}, False)
    assert [image.path for image in found.content.images] == [image.path for image in made.content.images]
    assert "test/discs/022.png" in without


def test_wrong_and_unsure_answers_are_explained(made: Report) -> None:
    content = made.content
    images = {image.path: image for image in content.images}
    assert {*content.wrong, *content.unsure} <= content.explanations.keys()
    assert all(images[path].is_wrong for path in content.wrong)
    assert not any(images[path].is_wrong for path in content.unsure)
    for path, explanation in content.explanations.items():
        assert (explanation.path, explanation.answer) == (images[path].file, images[path].answer)


def test_of_a_large_data_set_a_sample_is_shown_and_all_is_measured(
    work: Path, made: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composing, "MOST", 40)
    found = report(work, tmp_path)
    assert (len(found.content.images), found.content.total) == (40, 64)
    assert {*found.content.wrong, *found.content.unsure} <= {image.path for image in found.content.images}
    assert any(note.startswith("the page shows 40 of 64 images") for note in found.content.notes)
    assert found.content.runs[0].metrics == made.content.runs[0].metrics
    assert "40 of 64" in found.path.read_text()


def test_a_run_is_reported_with_the_figures_of_evaluate(work: Path, made: Report, tmp_path: Path) -> None:
    folder = made.content.runs[0].folder
    done = on_cli(work, tmp_path, folder, "--json")
    assert done.code == 0, done.err
    printed = json.loads(done.out)
    assert (printed["sweep"], printed["comparison"]) == (None, None)
    assert printed["runs"][0]["metrics"] == made.content.describe()["runs"][0]["metrics"]
    assert printed["audit"]["summary"] == made.content.describe()["audit"]["summary"]
    assert printed["learning"]["points"][0]["accuracy"] == made.content.describe()["learning"]["points"][0]["accuracy"]


def test_a_run_on_other_images_has_their_figures(work: Path, made: Report, tmp_path: Path) -> None:
    write_photos(tmp_path / "others", 9, 500)
    draw("discs", 7).save(tmp_path / "others/discs/unreadable.png")
    (tmp_path / "others/discs/unreadable.png").write_bytes(b"none")
    run = made.content.runs[0]
    found = featstore.report_runs(run, tmp_path / "others", out=tmp_path / "report.html", cache=work / "cache")
    measured = featstore.evaluate(run, tmp_path / "others", cache=work / "cache")
    assert found.content.runs[0].metrics == measured.metrics
    assert measured.metrics.keys() == {"new"}
    assert {image.split for image in found.content.images} == {"new"}
    assert "18 new images" in " ".join(found.content.summary)
    assert [item.path for item in found.skipped] == [str(tmp_path / "others/discs/unreadable.png")]


def test_other_images_that_the_run_was_trained_on_are_told_first(work: Path, made: Report, tmp_path: Path) -> None:
    """An audit of these images alone cannot see it."""
    shutil.copytree(work / "photos/test", tmp_path / "others/test")
    shutil.copytree(work / "photos/val", tmp_path / "others/train")
    shutil.copy(work / "photos/train/discs/000.png", tmp_path / "others/test/discs/new.png")
    with pytest.warns(
        LeakWarning, match="1 of the 21 images of the split test are among those that the run was trained"
    ):
        found = featstore.report_runs(
            made.content.runs[0], tmp_path / "others", out=tmp_path / "report.html", cache=work / "cache"
        )
    assert found.content.audit
    assert not found.content.audit.of_weight("alarm")
    assert found.content.summary[0].startswith("Do not believe the figures yet: 1 of the 21 images")


def test_images_without_labels_are_on_the_map(work: Path, made: Report, tmp_path: Path) -> None:
    manifest = featstore.scan(work / "photos")
    some = [p._replace(label=None) if p.path.endswith("031.png") else p for p in manifest.pictures]
    found = featstore.report_runs(
        made.content.runs[0], manifest.with_pictures(some), out=tmp_path / "report.html", cache=work / "cache"
    )
    unknown = [image for image in found.content.images if image.label is None]
    assert [Path(image.path).name for image in unknown] == ["031.png", "031.png"]
    assert all(image.of_label is None and not image.is_wrong for image in unknown)
    assert found.content.runs[0].metrics["test"].n == 18


def test_figures_of_other_images_are_said_to_be_so(work: Path, made: Report, tmp_path: Path) -> None:
    """Without any label nothing is measured, and the run has the figures of its training."""
    draw("discs", 600).save(tmp_path / "600.png")
    found = featstore.report_runs(
        made.content.runs[0], tmp_path / "600.png", out=tmp_path / "report.html", cache=work / "cache", audit=False
    )
    assert found.content.runs[0].metrics == made.content.runs[0].metrics
    assert "no image here has a label" in found.content.notes[0]
    assert "no image here has a label" in (tmp_path / "report.html").read_text()


def test_several_runs_are_compared_and_the_best_is_explained(work: Path, made: Report, tmp_path: Path) -> None:
    places = {"cache": work / "cache", "runs": tmp_path / "runs"}
    poor = featstore.train_head(work / "photos", "majority", model="pixels", size=16, **places)
    runs = [poor.folder, made.content.runs[0].folder]
    found = featstore.report_runs(runs, out=tmp_path / "report.html", cache=work / "cache")
    compared = featstore.compare_runs(runs, cache=work / "cache")
    assert found.content.comparison
    assert found.content.comparison.describe() == compared.describe()
    assert [run.folder for run in found.content.runs] == [row.run.folder for row in compared.rows]
    assert compared.finding.split(": ", 1)[1] in " ".join(found.content.summary)


def test_a_data_set_too_small_for_a_search_has_a_report(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 5)
    found = report(tmp_path, tmp_path)
    assert found.content.sweep is None
    notes = " ".join(found.content.notes)
    assert "no search, so ridge was trained as it is" in notes
    assert "no learning curve" in notes
    assert found.content.runs[0].head == "ridge"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("RUN", "--model", "tiny"), "--model tiny: has no effect on a report about runs"),
        (("RUN", "--trials", "5"), "--trials 5: has no effect on a report about runs"),
        (("RUN", "--time", "5s"), "--time 5.0: has no effect on a report about runs"),
        (("RUN", "--head", "ridge"), "--head ridge: has no effect on a report about runs"),
        (("RUN", "--name", "x"), "--name x: has no effect on a report about runs"),
        (("RUN", "--runs", "x"), "--runs x: has no effect on a report about runs"),
        (("RUN", "DATA"), "has no run.json, and the others are runs"),
        (("DATA", "DATA"), "expected one data set or the folders of runs, found 2 paths"),
        (("DATA",), "--model is missing"),
        (("DATA", "--model", "pixels", "--data", "x"), "--data x: is for a report about runs"),
        (("DATA", "--model", "pixels", "--model", "tiny"), "2 sets of features, but a report takes one"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    work: Path, made: Report, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    places = {"RUN": made.content.runs[0].folder, "DATA": work / "photos"}
    done = on_cli(work, tmp_path, *(places.get(word, word) for word in words))
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "report.html").exists()


def test_a_path_that_does_not_exist_is_told_before_options(work: Path, tmp_path: Path) -> None:
    for options in ([], ["--model", "nosuch"]):
        done = on_cli(work, tmp_path, "nosuch", *options)
        assert done.code == 1
        assert "nosuch: no such file or folder; give a data set, or the folders of runs" in done.err


def test_what_lies_next_to_runs_is_left_out_with_a_note(work: Path, made: Report, tmp_path: Path) -> None:
    """`runs/*` has the journals of sweeps too."""
    run = made.content.runs[0].folder
    journals = run.parent / "sweeps"
    note, refusal = on_cli(work, tmp_path, run, journals, "--trials", "5").err.splitlines()
    assert note == f"{journals}: left out, since it is not a run (it has no run.json)"
    assert "--trials 5: has no effect on a report about runs" in refusal


def test_a_page_that_cannot_be_written_is_found_before_the_work(work: Path, made: Report, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is a folder; name a file in it"):
        featstore.report(work / "photos", out=tmp_path, cache=tmp_path / "cache", **PIXELS)
    assert not (tmp_path / "cache").exists()


def test_an_interruption_says_how_to_go_on(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search is the long part: when it is over, its winner is a run, and a report on that needs no search."""

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(report_job, "measure_run", interrupt)
    with pytest.raises(KeyboardInterrupt) as stop:
        report(work, tmp_path)
    [run] = (tmp_path / "runs").glob("photos-*")
    assert stop.value.__notes__ == [
        "the report is not written; the same command goes on with the features and trials that it has",
        f"the search is over: `featstore report {run}` reports on its winner",
    ]
    monkeypatch.setattr(report_job, "measure_run", measure_run)
    assert featstore.report_runs(run, out=tmp_path / "r.html", cache=work / "cache").content.runs[0].folder == run


def test_what_is_no_data_set_is_told_in_one_line(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 3)
    shutil.rmtree(tmp_path / "photos/discs")
    with pytest.raises(DataError, match="only the class"):
        report(tmp_path, tmp_path)
