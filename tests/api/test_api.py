"""The front door: typed verbs of one shape, results that print themselves, warnings about leaks."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featstore
from featstore import LeakWarning, Run
from featstore.extraction.recipe_grid import make_recipes
from featstore.system.progress import Silent
from featstore.system.text import Shown
from helpers.cli import call
from helpers.photos import write_photos
from helpers.specs import SPEC

VERBS = (
    *("check_base", "extract", "train_head", "find_lr", "compare", "learning_curve", "sweep", "fine_tune", "evaluate"),
    "explain",
    "audit",
    "doctor",
    *("predict", "report"),
)

TEN_CALLS = """
import featstore

manifest = featstore.scan("photos")
extraction = featstore.extract(manifest, model="tiny", preprocess=["keras", "raw"], progress=True)
spec = extraction.features[0].spec
X, y, ids = featstore.load_features(extraction.manifest, spec, split="train")
rows = featstore.open_features(extraction.manifest, spec).X
table = featstore.save_features(extraction.manifest, spec, "photos.parquet", split="train")
run = featstore.train_head("photos", "logistic", model="tiny")
comparison = featstore.compare("photos", ["logistic", "bn-dropout"], model="tiny", size=[32, 48], folds=5)
tuned = featstore.fine_tune(run, "photos", blocks=1, rate=3e-4)
accuracy: float = featstore.evaluate(tuned.recommended, "photos").metrics["test"].accuracy
label: str = featstore.predict(run, "photos/a.jpg").images[0].label
best: float = featstore.compare_runs([run, "runs/other"], label_from="{label}_*").rows[0].accuracy
features = featstore.Bottleneck(model="tiny", preprocess="raw")
"""
FOUR_TYPOS = """
import featstore

run = featstore.train_head("photos", hed="logistic")
featstore.extract("photos", modle="tiny")
featstore.compare("photos", "logistc", model="tiny")
featstore.Bottleneck(modle="tiny")
"""


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with splits, in which a training image is copied into the test split."""
    work = tmp_path_factory.mktemp("leaky")
    for split, first in (("train", 0), ("val", 20), ("test", 30)):
        write_photos(work / "photos" / split, 6, first)
    shutil.copy(work / "photos" / "train" / "discs" / "000.png", work / "photos" / "test" / "discs" / "copy.png")
    return work


@pytest.fixture(scope="module")
def type_errors(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What `mypy --strict` says about two scripts of a user; an expression of type Any is an error too."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "calls.py").write_text(TEN_CALLS)
    (folder / "typos.py").write_text(FOUR_TYPOS)
    command = [sys.executable, "-m", "mypy", "--strict", "--disallow-any-expr", "--cache-dir", "cache"]
    done = subprocess.run([*command, "calls.py", "typos.py"], cwd=folder, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].endswith("(checked 2 source files)"), done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error:" in line]


@pytest.mark.slow
def test_a_script_of_ten_calls_is_typed(type_errors: list[str]) -> None:
    """Every exported name has its type: nothing is Any, and nothing needs an annotation."""
    assert [line for line in type_errors if not line.startswith("typos.py:")] == []


@pytest.mark.slow
def test_four_typos_are_four_errors(type_errors: list[str]) -> None:
    """A misspelled argument, option, head and parameter of a transformer are found before anything runs."""
    found = [line.split(":")[1] for line in type_errors if line.startswith("typos.py:")]
    assert found == ["4", "5", "6", "7"]


def test_exports_are_the_same_for_the_interpreter_and_for_a_type_checker() -> None:
    """Three lists of names, of which a new one might miss one."""
    tree = ast.parse(Path(featstore.__file__).read_text())
    seen = {
        name.name: f"{node.module}"
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert seen == featstore._HOMES
    assert list(featstore.__all__) == sorted(featstore._HOMES)
    with pytest.raises(AttributeError, match="'featstore' has no attribute 'nonsense'"):
        featstore.nonsense  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("verb", VERBS)
def test_the_verbs_have_one_shape(verb: str) -> None:
    """What it is about comes first, all else by name; cache and progress are in each, and are the same in each."""
    parameters = inspect.signature(getattr(featstore, verb)).parameters
    positional = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional[0] in ("data", "run")
    assert parameters["cache"].kind is parameters["progress"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["cache"].default is None
    assert parameters["progress"].default is False


@pytest.mark.parametrize("verb", VERBS)
def test_the_docstrings_name_every_parameter(verb: str) -> None:
    """Google style, for the editor and for the documents; and a verb that warns says so."""
    function = getattr(featstore, verb)
    text = inspect.getdoc(function) or ""
    for name, p in inspect.signature(function).parameters.items():
        assert f"\n    {'**' if p.kind is p.VAR_KEYWORD else ''}{name}: " in text
    assert "\nReturns:\n" in text
    assert "\nRaises:\n" in text
    assert ("\nWarns:\n" in text) == (
        verb not in ("audit", "check_base", "doctor", "extract", "explain", "find_lr", "predict")
    )


@pytest.fixture(scope="module")
def run(leaky: Path) -> Run:
    with pytest.warns(LeakWarning):
        return train(leaky)


def train(work: Path) -> Run:
    return featstore.train_head(work / "photos", model="tiny", cache=work / "cache", runs=work / "runs")


LEAKS: dict[str, Callable[[Path, Run], object]] = {
    "train_head": lambda work, run: train(work),
    "compare": lambda work, run: featstore.compare(work / "photos", model="tiny", cache=work / "cache"),
    "fine_tune": lambda work, run: featstore.fine_tune(
        run, work / "photos", epochs=1, cache=work / "cache", runs=work / "runs"
    ),
    "evaluate": lambda work, run: featstore.evaluate(run, work / "photos", cache=work / "cache"),
}


@pytest.mark.parametrize("verb", LEAKS)
def test_a_leak_between_splits_warns(leaky: Path, run: Run, verb: str) -> None:
    """The figures are too good, and the one who reads them is told, at the line that asked for them."""
    with pytest.warns(LeakWarning, match=r"1 (held-out image|of the 13 images)") as caught:
        LEAKS[verb](leaky, run)
    assert {warning.filename for warning in caught if warning.category is LeakWarning} == {__file__}


def test_a_leak_is_kept_with_the_run(leaky: Path, run: Run) -> None:
    """A run that is loaded tomorrow still says so; the command line says it and puts it into its JSON."""
    [note] = run.notes
    assert featstore.load_run(run.folder).notes == (note,)
    done = call("train-head", leaky / "photos", "--model", "tiny", "--cache", leaky / "cache", "--runs", leaky / "runs")
    assert f"warning: {note}" in done.err.splitlines()
    done = call("compare", leaky / "photos", "--model", "tiny", "--cache", leaky / "cache")
    assert f"warning: {note}" in done.err.splitlines()


def test_no_leak_no_warning(tmp_path: Path) -> None:
    """Warnings are errors in these tests: this trains in silence."""
    write_photos(tmp_path / "photos", 8)
    with warnings.catch_warnings(action="error"):
        assert train(tmp_path).notes == ()


def test_results_print_as_on_the_command_line(leaky: Path, run: Run) -> None:
    """`print(run)` is what `train-head` prints, and a notebook shows its tables."""
    options = ("--model", "tiny", "--cache", leaky / "cache")
    assert f"{run}\n" == call("evaluate", run.folder, leaky / "photos", *options[2:]).out + "\n".join(
        [
            f"remark: {run.remarks[-1]}",  # what to type for a cross-validation, which says nothing of other images
            f"logistic (C {run.chosen['C']:g}): {_seconds(run)}",
            f"saved in {run.folder}",
            "",
        ]
    )
    extraction = featstore.extract(leaky / "photos", model="tiny", cache=leaky / "cache")
    assert str(extraction).split()[:6] == call("extract", leaky / "photos", *options).out.split()[:6]
    prediction = featstore.predict(run, leaky / "photos" / "test" / "discs", cache=leaky / "cache")
    assert isinstance(prediction, Shown)
    assert prediction._repr_html_().count("<tr>") == 1 + 7


def _seconds(run: Run) -> str:
    return f"features {run.seconds['features']:.1f} s, fit {run.seconds['fit']:.1f} s"


def test_one_path_is_one_path(leaky: Path, run: Run) -> None:
    """A text is a path, not a list of its letters."""
    image = leaky / "photos" / "test" / "discs" / "030.png"
    for images in (image, str(image), [image]):
        assert [p.path for p in featstore.predict(run, images, cache=leaky / "cache").images] == [str(image)]


def test_progress_is_silent_unless_asked_for(leaky: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One argument switches it on; anything with the methods of `Progress` may take the place of the display."""
    told: list[Any] = []

    class Told(Silent):
        def start(self, total: int, reused: int) -> None:
            told.append((total, reused))

    options: dict[str, Any] = {"model": "pixels", "size": 16, "cache": leaky / "told"}
    featstore.extract(leaky / "photos", progress=Told(), **options)
    featstore.extract(leaky / "photos" / "val", progress=True, **options | {"preprocess": "raw"})
    featstore.extract(leaky / "photos", **options | {"preprocess": "raw"})
    assert told == [(37, 0)]
    assert "images" not in capfd.readouterr().err


def test_a_run_may_be_named_by_its_folder(leaky: Path, run: Run) -> None:
    """As on the command line."""
    image = leaky / "photos" / "test" / "discs" / "030.png"
    by_folder = featstore.predict(str(run.folder), image, cache=leaky / "cache")
    assert by_folder == featstore.predict(run, image, cache=leaky / "cache")


def test_a_misspelled_option_is_answered_with_the_nearest(leaky: Path, run: Run) -> None:
    """Not with a TypeError about a class that the user never called."""
    verbs: list[tuple[Callable[[], object], str]] = [
        (lambda: featstore.extract(leaky / "photos", modle="tiny"), "'modle': did you mean model?"),  # type: ignore[call-arg]
        (lambda: featstore.compare(leaky / "photos", model="tiny", preproces="raw"), "did you mean preprocess?"),  # type: ignore[call-arg]
        (lambda: featstore.fine_tune(run, leaky / "photos", epoch=2), "did you mean epochs?"),  # type: ignore[call-arg]
    ]
    for call_verb, message in verbs:
        with pytest.raises(featstore.UsageError) as caught:
            call_verb()
        assert message in str(caught.value)
    with pytest.raises(featstore.UsageError, match="`heads`: expected at least one head"):
        featstore.compare(leaky / "photos", [], model="tiny")


def test_the_seed_is_that_of_random_weights_too(leaky: Path) -> None:
    """As on the command line; a comparison has one seed, so that the commands it prints give its figures."""
    options: dict[str, Any] = {"model": "tiny", "weights": "random", "cache": leaky / "cache"}
    with pytest.warns(LeakWarning):
        found = featstore.train_head(leaky / "photos", seed=3, runs=leaky / "runs", **options)
    assert found.recipes[0].weights_seed == 3
    with pytest.raises(featstore.UsageError, match="weights_seed=7: compare has one `seed` for all"):
        featstore.compare(leaky / "photos", weights_seed=7, **options)


Opener = Callable[[Any], object]
# What takes paths, with the path that it is given last; the name of an exported class may be followed by a method's.
TAKE_PATHS: dict[str, Opener] = {
    "Bottleneck.transform": lambda path: featstore.Bottleneck("pixels", size=8).transform(path),
    "Bottleneck.fit": lambda path: featstore.Bottleneck("pixels", size=8).fit(path),
    "Cache": lambda path: featstore.Cache(path).keys(),
    "Recipe": lambda path: featstore.Recipe(model=path).source(),
    "doctor": lambda path: featstore.doctor(path, model="pixels", size=8),
    "check_base": lambda path: featstore.check_base(path, model="tiny"),
    "compare_runs": lambda path: featstore.compare_runs([path, path]),
    "compare": lambda path: featstore.compare(path, model="pixels", size=8),
    "evaluate": lambda path: featstore.evaluate(path, path),
    "audit": lambda path: featstore.audit(path, model="pixels", size=8),
    "explain": lambda path: featstore.explain(path, path),
    "extract": lambda path: featstore.extract(path, model="pixels", size=8),
    "fine_tune": lambda path: featstore.fine_tune(path, path),
    "learning_curve": lambda path: featstore.learning_curve(path, model="pixels", size=8),
    "find_lr": lambda path: featstore.find_lr(path, model="pixels", size=8),
    "list_runs": lambda path: featstore.list_runs(path),
    "load_run": lambda path: featstore.load_run(path),
    "predict": lambda path: featstore.predict(path, path),
    "report": lambda path: featstore.report(path, model="pixels", size=8),
    "report_runs": lambda path: featstore.report_runs(path),
    "sweep": lambda path: featstore.sweep(path, model="pixels", size=8),
    "save_features": lambda path: featstore.save_features(featstore.Manifest("photos", ()), SPEC, path),
    "scan": lambda path: featstore.scan(path),
    "train_head": lambda path: featstore.train_head(path, model="pixels", size=8),
}
TAKE_NONE = {
    *(name for name in featstore.__all__ if name.endswith(("Error", "Warning", "Unavailable", "Image"))),
    *(
        "Audit",
        "Comparison",
        "Diagnosis",
        "Evaluation",
        "LabelledCheck",
        "UnlabelledCheck",
        "Explained",
        "Extraction",
        "FeatureSpec",
        "FineTuned",
        "LearningCurve",
        "FoundRate",
        "Manifest",
        "Prediction",
        "Progress",
        "Sweep",
    ),
    *("Report", "RunComparison", "RunList", "Run", "Table", "complete_splits", "load_features", "open_features"),
}


def test_each_export_takes_paths_or_none() -> None:
    """A new one has to say which, and is then tested below."""
    assert {name.split(".")[0] for name in TAKE_PATHS} | TAKE_NONE == {*featstore.__all__}


@pytest.mark.parametrize("name", TAKE_PATHS)
@pytest.mark.parametrize("kind", [str, Path, str.encode])
def test_a_path_is_never_taken_apart(
    name: str, kind: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The letters of `no/such` are no paths: the `/` among them would be the whole disk."""
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(os.fspath(path)) or scandir(path))
    with suppress(featstore.FeatstoreError):  # some look at it, some do not
        TAKE_PATHS[name](kind("no/such"))
    assert {folder for folder in listed if not folder.startswith("cache")} <= {"no/such", str(tmp_path)}


@pytest.mark.parametrize("name", [name for name in TAKE_PATHS if not name.startswith("Bottleneck.fit")])
@pytest.mark.parametrize("wrong", [5, [3.5], {"a.png": 1}])
def test_what_is_no_path_is_refused_in_one_line(name: str, wrong: object) -> None:
    """Not with an AttributeError from deep inside."""
    with pytest.raises(featstore.UsageError, match="expected"):
        TAKE_PATHS[name](wrong)


def test_the_home_folder_is_no_data_set(leaky: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip of the hand would read everything that somebody has."""
    monkeypatch.setenv("HOME", str(leaky))
    for verb in (featstore.scan, lambda folder: featstore.predict(run, folder, cache=leaky / "cache")):
        for folder in ("/", leaky):
            with pytest.raises(featstore.UsageError, match="every file below it would be read"):
                verb(folder)
    transformer = featstore.Bottleneck("pixels", size=8, cache=leaky / "cache")
    with pytest.raises(featstore.FeatstoreError, match="is a folder"):
        transformer.transform(leaky)


def test_paths_come_in_every_form(leaky: Path, run: Run) -> None:
    """Generators and arrays, and weights as a path."""
    files = sorted((leaky / "photos" / "test" / "discs").glob("03*.png"))
    expected = featstore.predict(run, files, cache=leaky / "cache")
    for images in ((str(file) for file in files), np.array([*map(str, files)]), [os.fsencode(file) for file in files]):
        assert featstore.predict(run, images, cache=leaky / "cache") == expected
    with pytest.raises(featstore.UsageError, match="tiny|weights"):
        featstore.predict(run, files, weights=Path("nowhere.png"), cache=leaky / "cache")


def test_a_size_may_be_a_pair() -> None:
    """(height, width) as Keras takes it; a list is several sizes."""
    assert featstore.Recipe(model="tiny", size=(64, 48)) == featstore.Recipe(model="tiny", size="64x48")
    assert [recipe.size for recipe in make_recipes(model="tiny", size=(64, 48))] == ["64x48"]
    assert [recipe.size for recipe in make_recipes(model="tiny", size=[64, 48])] == [64, 48]
    assert featstore.Recipe(model="tiny", size=np.int64(64)).size == 64  # type: ignore[arg-type]
    with pytest.raises(featstore.UsageError, match=r"size 64\.5: give one side or both in whole pixels"):
        featstore.Recipe(model="tiny", size=64.5)  # type: ignore[arg-type]


def test_results_have_short_reprs(leaky: Path, run: Run) -> None:
    """A notebook shows the last value of a cell: 80 photos must not fill it."""
    cache = leaky / "cache"
    manifest = featstore.scan(leaky / "photos")
    results = [
        manifest,
        featstore.extract(manifest, model="tiny", cache=cache),
        run,
        featstore.predict(run, leaky / "photos" / "test", cache=cache),
        featstore.evaluate(run, leaky / "photos" / "val", cache=cache),
    ]
    for result in results:
        text = repr(result)
        assert text.startswith(f"{type(result).__name__}(")
        assert "\n" not in text
        assert len(text) < 700  # the folder of a test has a long name
    assert "pictures=<37 items>" in repr(results[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: featstore.train_head(".", "vgg-fc", model="tiny", lr=0.1),
            "'lr': .* parameters={'rate': ...}",
        ),
        (
            lambda: featstore.compare(".", model="tiny", epochs=5),
            "'epochs': .* parameters={'epochs': ...}",
        ),
        (
            lambda: featstore.train_head(".", "Svm", model="tiny"),
            "head='Svm': is not known: use one of logistic, logistic-sgd, linear",
        ),
        (lambda: featstore.train_head(".", "vgg_fc", {"C": 1}, model="tiny"), "head vgg-fc has no parameter 'C'"),
        (lambda: featstore.extract(".", backbone="tiny"), "unknown option 'backbone': did you mean model?"),
    ],
)
def test_words_that_are_none_of_ours(call: Callable[[], Any], message: str, photos: Path, monkeypatch: Any) -> None:
    """Python answers as the command line does: what is meant, or what there is."""
    monkeypatch.chdir(photos)
    with pytest.raises(featstore.UsageError, match=message):
        call()


def test_python_takes_the_words_that_the_command_line_takes(photos: Path, tmp_path: Path) -> None:
    """Heads, parameters, models and variants in another spelling; the run has our names."""
    places = {"cache": tmp_path / "cache", "runs": tmp_path / "runs"}
    run = featstore.train_head(
        photos, "BN_Dropout", {"lr": 0.01, "Dropout": "0.25", "epochs": 1}, model="Tiny", preprocess="1/255", **places
    )
    assert (run.head, run.parameters["rate"], run.parameters["p"]) == ("bn-dropout", 0.01, 0.25)
    assert (run.recipes[0].model, run.recipes[0].preprocess) == ("tiny", "rescale")
    assert run.folder.name.startswith("photos-tiny-rescale-32-bn-dropout")
