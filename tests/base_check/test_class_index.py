"""The index of classes in all its usual forms, and where it is looked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from featstore.base_check.class_index import ClassIndex, find_class_index, is_wnid, read_class_index
from featstore.bases.weights_file import IMAGENET_CLASSES
from featstore.errors import DataError, UsageError

INDEX = {str(number): [f"n{number:08}", f"animal_{number}"] for number in range(IMAGENET_CLASSES)}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a list of made-up classes where Keras keeps its own."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "imagenet_class_index.json"
    path.write_text(json.dumps(INDEX))
    return path


@pytest.mark.parametrize(
    "text",
    [
        '{"0": ["n00000001", "cat"], "1": ["n00000002", "dog"]}',
        '{"0": "cat", "1": "dog"}',
        '{"dog": 1, "cat": 0}',
        '["cat", "dog"]',
        "cat\ndog\n",
        "\ufeffcat\r\ndog\r\n\r\n",
        "n00000001 cat, true cat, Felis\nn00000002 dog, domestic dog\n",
    ],
)
def test_the_usual_forms_of_a_list_of_classes(tmp_path: Path, text: str) -> None:
    """Keras' JSON, `class_indices` of its generators, lists, lines, and synset_words.txt."""
    (tmp_path / "classes").write_text(text, encoding="utf-8", newline="")
    found = read_class_index(tmp_path / "classes")
    assert found.names == ("cat", "dog")
    assert found.ids in ((), ("n00000001", "n00000002"))
    assert found.source == str(tmp_path / "classes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no classes"),
        ("{}", "has no classes"),
        ('{"0": "cat", "2": "dog"}', "expected the classes as"),
        ('{"0": 5.5}', "expected the classes as"),
        ("7", "expected the classes as"),
        ('{"0": ["n1"]}', "expected the classes as"),
        ('{"0": ["n00000001", "a"], "1": "b"}', "found 1 of 2"),
        ('["cat", "cat"]', "found 'cat' twice"),
        ('{"0": ["n00000001", "a"], "1": ["n00000001", "b"]}', "found 'n00000001' twice"),
    ],
)
def test_what_is_no_list_of_classes_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A gap would shift all names behind it."""
    (tmp_path / "classes").write_text(text)
    with pytest.raises(DataError, match=message):
        read_class_index(tmp_path / "classes")
    with pytest.raises(DataError, match="class index cannot be read: No such file"):
        read_class_index(tmp_path / "nowhere")


def test_a_class_is_found_by_id_and_by_an_unmistakable_name() -> None:
    """Case and the character between words do not matter; ImageNet has two cranes."""
    found = ClassIndex(("tench", "great_white_shark", "crane", "crane"), ("n00000001", "n00000002", "n3", "n4"))
    assert [found.number(text) for text in ("n00000002", "Great white-shark", "crane", "0", "")] == [
        1,
        1,
        None,
        None,
        None,
    ]
    assert (found.describe(0), found.describe(9)) == ("tench", "class 9")
    assert [is_wnid(text) for text in ("n01440764", "n0144076", "N01440764", "no1440764")] == [
        True,
        False,
        False,
        False,
    ]


def test_an_index_of_another_classifier_is_not_used_and_never_dropped_in_silence() -> None:
    """One that was found by itself gives no names; one that the user gave is refused."""
    found = ClassIndex(("cat", "dog"), source="pets.txt")
    assert found.for_classes(2) is found
    assert found.for_classes(3).names == found.for_classes(None).names == ()
    given = ClassIndex(("cat", "dog"), source="pets.txt", is_given=True)
    with pytest.raises(UsageError, match="class_index='pets.txt': has 2 classes, .* found a classifier of 3"):
        given.for_classes(3)
    with pytest.raises(UsageError, match="found a base without a classifier"):
        given.for_classes(None)


def test_the_list_is_beside_the_weights_or_where_keras_keeps_it(index: Path, tmp_path: Path) -> None:
    """Nothing is downloaded. Beside the weights comes first."""
    found = find_class_index(tmp_path / "weights" / "w.h5")
    assert found is not None
    assert (found.describe(111), found.source) == ("animal_111", str(index))
    (tmp_path / "weights").mkdir()
    beside = tmp_path / "weights" / index.name
    beside.write_text(index.read_text().replace("animal", "plant"))
    found = find_class_index(tmp_path / "weights" / "w.h5")
    assert found is not None
    assert found.describe(111) == "plant_111"
    index.unlink()
    assert find_class_index(None) is None


@pytest.mark.parametrize(
    "damage", [{"999": ["n00000998", "twice"]}, {"1000": ["n00001000", "one more"]}, {"5": []}, {"7": None}]
)
def test_a_list_that_is_not_imagenets_is_not_used(index: Path, damage: dict[str, object]) -> None:
    """An id that stands twice, a class more, or none: its names could be those of other classes."""
    assert find_class_index(None) is not None
    index.write_text(json.dumps({**INDEX, **damage}))
    assert find_class_index(None) is None


@pytest.mark.realdata
def test_the_names_of_keras_are_in_order(real_data: Path) -> None:
    """Keras' own list has the well-known number of each class."""
    found = find_class_index(real_data / "weights" / "mobilenet_2_5_224_tf.h5")
    assert found is not None
    assert [found.describe(number) for number in (0, 111, 281, 987)] == ["tench", "nematode", "tabby", "corn"]
    assert found.number("n01440764") == 0
