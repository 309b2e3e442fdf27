"""Submissions: one row for each image under its id, in the order asked, or an error."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import featstore
from featstore.datasets.array_files import PIXELS
from featstore.datasets.manifest import Skipped
from featstore.errors import DataError, UsageError
from featstore.extraction.recipe import Recipe
from featstore.runs.prediction import ImagePrediction, Prediction
from featstore.training.job import train
from helpers.cli import call
from helpers.photos import draw, write_photos

TWO, THREE = ("cat", "dog"), ("bird", "cat", "dog")


def predicted(names: Sequence[str], classes: Sequence[str] = TWO, **more: Any) -> Prediction:
    """Predictions of images in `test/`, the first with a probability of 0.1 of the last class, the next of 0.2, ..."""
    images = []
    for number, name in enumerate(names, 1):
        last = number / 10
        shares = (*[(1 - last) / (len(classes) - 1)] * (len(classes) - 1), last)
        label = classes[-1] if last > shares[0] else classes[0]
        images.append(ImagePrediction(f"test/{name}", label, max(shares), shares))
    return Prediction(tuple(images), more.pop("skipped", ()), tuple(classes), **more)


def rows(prediction: Prediction, tmp_path: Path, *columns: str, **options: Any) -> list[list[str]]:
    prediction.save_submission(tmp_path / "out.csv", *columns, **options)
    return list(csv.reader((tmp_path / "out.csv").read_text().splitlines()))


def sample(tmp_path: Path, text: str) -> Path:
    (tmp_path / "sample.csv").write_text(text)
    return tmp_path / "sample.csv"


def test_two_classes_are_one_probability(tmp_path: Path) -> None:
    """Of the second class, or of the one that is named; ids that are numbers are in the order of numbers."""
    found = predicted(["10.jpg", "2.jpg", "1.jpg"])
    assert rows(found, tmp_path, "id,label") == [["id", "label"], ["1", "0.3"], ["2", "0.2"], ["10", "0.1"]]
    assert rows(found, tmp_path, "id,label", positive="cat")[1] == ["1", "0.7"]
    assert rows(found, tmp_path, "id,label=label")[1] == ["1", "cat"]
    assert rows(found, tmp_path, "id,label=p:cat")[1] == ["1", "0.7"]


def test_more_classes_are_a_label_or_a_column_each(tmp_path: Path) -> None:
    """The columns of classes may be in any order; ids that are no numbers stay in the order given."""
    found = predicted(["b.jpg", "a.jpg", "c.jpg", "d.jpg"], THREE)
    assert rows(found, tmp_path, "ImageId,Label")[1::3] == [["b", "bird"], ["d", "dog"]]
    assert rows(found, tmp_path, "id")[:2] == [["id", *THREE], ["b", "0.45", "0.45", "0.1"]]
    assert rows(found, tmp_path, "image=name,dog,bird,cat")[1] == ["b.jpg", "0.1", "0.45", "0.45"]
    assert rows(found, tmp_path, "id,is_dog", positive="dog")[2] == ["a", "0.2"]


def test_the_sample_gives_columns_ids_and_order(tmp_path: Path) -> None:
    """With or without endings and folders; images that it does not have are left out."""
    found = predicted(["1.jpg", "2.jpg", "3.jpg"])
    given = sample(tmp_path, "id,label\n3,0.5\n1,0.5\n")
    assert rows(found, tmp_path, sample=given) == [["id", "label"], ["3", "0.3"], ["1", "0.1"]]
    given = sample(tmp_path, "image_name,target\ntest/2.jpg,0\ntest/1.jpg,0\n")
    assert rows(found, tmp_path, sample=given)[1:] == [["test/2.jpg", "0.2"], ["test/1.jpg", "0.1"]]
    wide = sample(tmp_path, "id,dog,cat,bird\n2,0.3,0.3,0.3\n")
    assert rows(predicted(["1.jpg", "2.jpg"], THREE), tmp_path, sample=wide)[1] == ["2", "0.2", "0.4", "0.4"]
    labels = sample(tmp_path, "id,label\n3,dog\n1,dog\n")
    assert rows(found, tmp_path, sample=labels)[1:] == [["3", "cat"], ["1", "cat"]]


def test_a_sample_of_0_and_1_does_not_say_what_it_wants(tmp_path: Path) -> None:
    """They may be classes or the ends of a probability, and the score of the other would be bad without a word."""
    found = predicted(["1.jpg"], ("0", "1"))
    given = sample(tmp_path, "id,label\n1,0\n")
    with pytest.raises(UsageError, match="label may be the label or a probability: give positive='1'"):
        rows(found, tmp_path, sample=given)
    assert rows(found, tmp_path, sample=given, positive="1")[1] == ["1", "0.1"]
    assert rows(found, tmp_path, "id,label=label", sample=given)[1] == ["1", "0"]


def test_a_sample_with_the_labels_of_another_data_set_is_refused(tmp_path: Path) -> None:
    """A probability would be written where labels are wanted, or labels that nobody knows."""
    given = sample(tmp_path, "id,label\n1,cats\n2,dogs\n")
    for classes in (TWO, THREE):
        with pytest.raises(UsageError, match="label has 'cats', 'dogs', the classes of the run are (bird, )?cat, dog"):
            rows(predicted(["1.jpg", "2.jpg"], classes), tmp_path, sample=given)
    assert rows(predicted(["1.jpg", "2.jpg"]), tmp_path, "id,label=label", sample=given)[1] == ["1", "cat"]
    empty = sample(tmp_path, "id,label\n1,\n")
    assert rows(predicted(["1.jpg"]), tmp_path, sample=empty)[1] == ["1", "0.1"]


def test_rows_of_a_table_of_pixels_are_counted(tmp_path: Path) -> None:
    """Their files are named by their contents."""
    found = predicted([f"{name}.png" for name in "fab"], THREE, layout=PIXELS)
    assert [row[0] for row in rows(found, tmp_path, "ImageId,Label")] == ["ImageId", "1", "2", "3"]
    given = sample(tmp_path, "ImageId,Label\n3,0\n1,0\n2,0\n")
    assert rows(found, tmp_path, sample=given)[1] == ["3", "bird"]
    with pytest.raises(UsageError, match="number counts the rows of a table of pixels"):
        rows(predicted(["a.png"]), tmp_path, "id=number,label")


def test_no_row_is_lost_doubled_or_made_up(tmp_path: Path) -> None:
    """A file that cannot be read is an error, or gets the mean of all answers, as was asked for."""
    lost = Skipped("test/3.jpg", "the file is empty")
    found = predicted(["1.jpg", "2.jpg"], skipped=(lost,))
    with pytest.raises(DataError, match=r"1 image of the submission cannot be read, such as test/3\.jpg \(the file"):
        rows(found, tmp_path, "id,label")
    *kept, (name, mean) = rows(found, tmp_path, "id,label", fill=True)[1:]
    assert (kept, name, float(mean)) == ([["1", "0.1"], ["2", "0.2"]], "3", pytest.approx(0.15))
    given = sample(tmp_path, "id,label\n3,0.5\n1,0.5\n")
    with pytest.raises(DataError, match="cannot be read"):
        rows(found, tmp_path, sample=given)
    assert [row[0] for row in rows(found, tmp_path, sample=given, fill=True)] == ["id", "3", "1"]
    assert rows(found, tmp_path, sample=sample(tmp_path, "id,label\n2,0.5\n"))[1:] == [["2", "0.2"]]
    given = sample(tmp_path, "id,label\n4,0.5\n1,0.5\n5,0.5\n")
    with pytest.raises(DataError, match="sample.csv: 2 of its 3 ids have no image, such as '4', '5'$"):
        rows(found, tmp_path, sample=given, fill=True)
    with pytest.raises(DataError, match="has the id '1' twice"):
        rows(found, tmp_path, sample=sample(tmp_path, "id,label\n1,0.5\n1,0.5\n"))
    with pytest.raises(DataError, match=r"test/b/1\.jpg and test/a/1\.jpg have the same id '1'"):
        rows(predicted(["a/1.jpg", "b/1.jpg"]), tmp_path, "id,label")


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        ("id,label", {"positive": "wolf"}, "is not a class of the run: cat, dog"),
        ("id", {"positive": "dog"}, "is for one column of answers"),
        ("id,label=label", {"positive": "dog"}, "label=label says what is written"),
        ("id,cat,wolf", {}, "the columns 'wolf' are not classes of the run: cat, dog"),
        ("id,label=wolf", {}, "label=wolf is not known: use label or p:cat"),
        ("id=hash,label", {}, "the ids may be stem, name, number; found 'hash'"),
        ("id,", {}, "expected the names of columns"),
    ],
)
def test_what_makes_no_sense_is_refused(columns: str, options: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        rows(predicted(["1.jpg"]), tmp_path, columns, **options)


def test_columns_that_are_not_those_of_the_sample_are_refused(tmp_path: Path) -> None:
    given = sample(tmp_path, "id,label\n1,0.5\n")
    with pytest.raises(UsageError, match="has the columns id,label, found id,target"):
        rows(predicted(["1.jpg"]), tmp_path, "id,target", sample=given)
    with pytest.raises(UsageError, match="has no column of 'bird'"):
        rows(predicted(["1.jpg"], THREE), tmp_path, "id,cat,dog")


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is submission.csv unless it is named; a line says of which class the probability is."""
    monkeypatch.chdir(tmp_path)
    run = train(write_photos(tmp_path / "own", 8), Recipe(model="tiny"), cache="cache", runs="runs").run
    (tmp_path / "test").mkdir()
    for number in (10, 9, 1):
        draw("stripes", 100 + number).save(tmp_path / "test" / f"{number}.png")
    command = ("predict", run.folder, "test", "--cache", "cache")
    done = call(*command, "--submission", "id,label")
    assert done.err.splitlines()[-1] == "submission: label is the probability of 'stripes'; saved in submission.csv"
    found = list(csv.reader((tmp_path / "submission.csv").read_text().splitlines()))
    shares = {Path(i.path).stem: i.probabilities[1] for i in featstore.predict(run, "test", cache="cache").images}
    assert found == [["id", "label"], *([name, str(shares[name])] for name in ("1", "9", "10"))]
    alone = call(*command, "--submission", "id,label", "--csv", "-")
    assert alone.out.splitlines() == (tmp_path / "submission.csv").read_text().splitlines()
    (tmp_path / "test" / "5.png").write_bytes(b"")
    lost = call(*command, "--submission", "id,label", "--csv", "other.csv")
    assert (lost.code, (tmp_path / "other.csv").exists()) == (1, False)
    assert "give --fill" in lost.err
    assert call(*command, "--submission", "id,label", "--fill", "--quiet").code == 0
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == 5
    for wrong in (["--positive", "discs"], ["--fill"]):
        assert "has no effect without --submission" in call(*command, *wrong).err
    both = call(*command, "--submission", "id,label", "--csv", "x.csv", "--columns", "stem")
    assert "--columns stem: is for --csv without a submission" in both.err
