"""Labels of ImageNet's classes by WordNet id, and the list of classes that Keras keeps."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from featstore.base_check.imagenet import IMAGENET_CLASSES, class_names, read_labels
from featstore.errors import DataError

INDEX = {str(number): [f"n{number:08}", f"animal_{number}"] for number in range(IMAGENET_CLASSES)}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a list of made-up classes where Keras keeps its own."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "imagenet_class_index.json"
    path.write_text(json.dumps(INDEX))
    return path


def labels(folder: Path, text: str) -> Path:
    (folder / "labels.csv").write_text(text)
    return folder / "labels.csv"


def test_labels_are_class_indices_by_path(tmp_path: Path) -> None:
    """Relative to the folder of the CSV; other columns do no harm."""
    found = read_labels(labels(tmp_path, "path,label,name\na.jpg,0,tench\nsub/b.jpg,999,x\n"))
    assert found == {os.path.realpath(tmp_path / "a.jpg"): 0, os.path.realpath(tmp_path / "sub" / "b.jpg"): 999}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\na,1\n", "expected the columns path,label, found image,label"),
        ("path,label\n", "has no labels"),
        ("path,label\na,1\na,2\n", "line 3: a is listed more than once"),
        ("path,label\na,1000\n", "line 2: label '1000'"),
        ("path,label\na,cat\n", "line 2: label 'cat'"),
        ("path,label\na,-1\n", "line 2: label '-1'"),
        ("path,label\na\n", "line 2: label ''"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """The error has the line and what was expected."""
    with pytest.raises(DataError, match=message):
        read_labels(labels(tmp_path, text))


def test_class_names_are_those_of_keras_where_it_has_them(index: Path) -> None:
    """Nothing is downloaded. Without the list, or with a damaged one, names are numbers."""
    assert class_names()[111] == "animal_111"
    index.write_text('{"0": 5}')
    assert class_names()[0] == "class 0"
    index.unlink()
    assert class_names()[111] == "class 111"


def test_a_label_may_be_a_wordnet_id(index: Path, tmp_path: Path) -> None:
    """A file may mix ids and indices."""
    found = read_labels(labels(tmp_path, "path,label\na.jpg,n00000417\nb.jpg,3\n"))
    assert found == {os.path.realpath(tmp_path / "a.jpg"): 417, os.path.realpath(tmp_path / "b.jpg"): 3}


def test_an_unknown_wordnet_id_is_refused_with_its_line(index: Path, tmp_path: Path) -> None:
    """WordNet has more nouns than ImageNet's 1,000 classes."""
    with pytest.raises(DataError, match=r"line 3: label 'n09999999': expected the index .* or its WordNet id"):
        read_labels(labels(tmp_path, "path,label\na.jpg,n00000417\nb.jpg,n09999999\n"))


def test_without_the_list_a_wordnet_id_says_where_it_was_looked_for(index: Path, tmp_path: Path) -> None:
    """The user can put the file there, or give indices."""
    index.unlink()
    with pytest.raises(DataError, match=r"line 2: .* looked up in .*imagenet_class_index\.json.*give the index"):
        read_labels(labels(tmp_path, "path,label\na.jpg,n00000417\n"))


def test_a_row_without_a_path_is_refused(tmp_path: Path) -> None:
    """It would stand for the folder itself."""
    with pytest.raises(DataError, match="line 3: has no path"):
        read_labels(labels(tmp_path, "path,label\na.jpg,1\n,2\n"))


@pytest.mark.parametrize(
    "damage", [{"999": ["n00000998", "twice"]}, {"1000": ["n00001000", "one more"]}, {"5": []}, {"7": None}]
)
def test_a_list_that_is_not_imagenets_is_not_used(index: Path, damage: dict[str, object]) -> None:
    """An id that stands twice, a class more, or none: its names could be those of other classes."""
    assert class_names()[3] == "animal_3"
    index.write_text(json.dumps({**INDEX, **damage}))
    assert class_names()[3] == "class 3"


@pytest.mark.realdata
def test_the_names_of_keras_are_in_order(real_data: Path, index: Path) -> None:
    """Keras' own list has the well-known number of each class."""
    index.write_bytes((real_data / "weights" / "imagenet_class_index.json").read_bytes())
    names = class_names()
    assert (names[0], names[111], names[281], len(names)) == ("tench", "nematode", "tabby", IMAGENET_CLASSES)
