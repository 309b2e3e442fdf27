"""What tells the label and is not what the pictures show is named, and clean sets raise no alarm."""

from __future__ import annotations

from typing import Any

import pytest

from featstore.auditing.shortcuts import check_shortcuts
from featstore.auditing.tells import FEWEST
from helpers.known import Known, photos, subject_of


def told(images: list[Known]) -> str | None:
    """The cue that is named; None where no alarm is raised."""
    check = check_shortcuts(subject_of(images))
    shortcut = check.figures["shortcut"]
    assert (check.weight in ("alarm", "look")) == (shortcut is not None)
    return shortcut and str(shortcut["cue"])


@pytest.mark.parametrize("classes", [2, 5])
def test_a_clean_set_raises_no_alarm(classes: int) -> None:
    """Sizes, qualities and looks differ between images, but not between classes."""
    check = check_shortcuts(subject_of([p for n in range(classes) for p in photos(f"c{n}", 60, 100 * n)]))
    assert check.weight == "fine"
    assert "no fact about the files tells a label" in check.verdict
    assert all(cue["balanced_accuracy"] < 0.65 for cue in check.figures["cues"] if cue["role"] in ("file", "shape"))


@pytest.mark.parametrize(
    ("cue", "one", "other"),
    [
        ("JPEG quality", {"quality": 60}, {"quality": 95}),
        ("format of the file", {"format": "PNG", "quality": None}, {}),
        ("colour", {"mode": "L", "grey": True}, {}),
        ("colour", {"grey": True}, {}),
        ("camera", {"camera": "Canon EOS 5D"}, {"camera": "NIKON D3"}),
        ("size in pixels", {"width": 320, "height": 240}, {"width": 640, "height": 480}),
        ("width by height", {"width": 500, "height": 500}, {}),
        ("border", {"white_border": 0.98}, {"white_border": 0.0}),
        ("border", {"black_border": 0.98}, {}),
    ],
)
def test_a_planted_shortcut_is_named(cue: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    """One fact at a time, and the plainest where a fact implies another."""
    named = told(photos("cats", 60, **one) + photos("dogs", 60, 500, **other))
    assert named == cue or (cue, named) == ("width by height", "size in pixels")


def test_the_verdict_and_its_table_say_what_the_shortcut_is() -> None:
    """The class, the cue, how well it does, and how many images have which values."""
    check = check_shortcuts(subject_of(photos("cats", 40, quality=60) + photos("dogs", 50, 500, quality=95)))
    assert check.verdict.startswith("JPEG quality alone tells cats from dogs (balanced accuracy 1.000 [")
    assert check.table is not None
    assert list(check.table.header) == ["JPEG quality", "cats", "dogs"]
    assert [list(row) for row in check.table.rows] == [["60", "40", "0"], ["95", "0", "50"]]
    assert check.advice


def test_one_odd_class_of_five_is_named() -> None:
    """An accuracy over all classes would hide it."""
    images = [p for n in range(5) for p in photos(f"c{n}", 50, 100 * n, quality=75 if n == 3 else 85)]
    check = check_shortcuts(subject_of(images))
    assert "tells c3 from the other images" in check.verdict


def test_a_shortcut_of_a_part_of_a_class_is_named() -> None:
    """Half of the cats are grey: a head is right on these for the wrong reason."""
    images = photos("cats", 60, grey=True) + photos("cats", 60, 200) + photos("dogs", 120, 500)
    assert told(images) == "colour"


def test_the_shape_of_images_may_be_that_of_what_they_show() -> None:
    """Where giraffes and cars were cut out, it is to be looked at, and is no alarm."""
    sizes = [(100 + 3 * n, 100 + 3 * (n * 17 % 60)) for n in range(60)]  # the same for both, one way up or the other
    giraffes = [
        p._replace(facts=p.facts._replace(width=min(s), height=max(s) + 9))
        for p, s in zip(photos("giraffe", 60), sizes, strict=True)
    ]
    cars = [
        p._replace(facts=p.facts._replace(width=max(s) + 9, height=min(s)))
        for p, s in zip(photos("car", 60, 500), sizes, strict=True)
    ]
    check = check_shortcuts(subject_of(giraffes + cars))
    assert (check.weight, check.figures["shortcut"]["cue"]) == ("look", "width by height")


@pytest.mark.parametrize(
    ("both", "facts", "weight", "says"),
    [
        (40, {"grey": True}, "alarm", "the features show it, so a head can use it: within cats one finds it"),
        (90, {"quality": 40}, "look", "these features hardly show it: within cats a head does not find it"),
        (0, {"grey": True}, "alarm", "no class has both, so that cannot be measured"),
    ],
)
def test_whether_a_head_could_use_the_shortcut_is_asked_within_a_class(
    both: int, facts: dict[str, Any], weight: str, says: str
) -> None:
    """Across classes the label would answer. The features of these images show grey and nothing else."""
    images = photos("cats", 90, **facts) + photos("cats", both, 200) + photos("dogs", 120, 500)
    check = check_shortcuts(subject_of(images))
    assert (check.weight, check.figures["visible"] is None) == (weight, both == 0)
    assert says in check.verdict


def test_brightness_is_what_the_pictures_show() -> None:
    """Snow is bright; it is shown, and never an alarm."""
    check = check_shortcuts(subject_of(photos("snow", 60, mean=200.0) + photos("night", 60, 500, mean=20.0)))
    assert check.weight == "fine"
    assert {cue["cue"]: cue["told"] for cue in check.figures["cues"]}["brightness"] is True


def test_a_class_of_few_images_is_left_out() -> None:
    """Whatever its files are like."""
    few = photos("rare", FEWEST - 1, 900, quality=10)
    assert told(photos("cats", 60) + photos("dogs", 60, 500) + few) is None
    check = check_shortcuts(subject_of(photos("cats", 100) + few))
    assert (check.weight, check.figures) == ("fine", {})
    assert check.verdict.startswith("not checked")


@pytest.mark.parametrize("label", [None, "cats"])
def test_one_class_or_none_has_no_shortcut(label: str | None) -> None:
    """There is nothing to tell from it."""
    assert check_shortcuts(subject_of(photos("cats", 40))).verdict.startswith("not checked")
    assert check_shortcuts(subject_of([])).verdict.startswith("not checked")


def test_copies_of_one_image_are_no_evidence() -> None:
    """40 copies of 2 odd photos are 2 photos: no tree is tested on what it was grown on."""
    odd = [
        Known("cats", p.facts, f"cats/{n}-{i}.jpg", f"{n:064d}")
        for n in range(2)
        for i, p in enumerate(photos("cats", 20, quality=99))
    ]
    check = check_shortcuts(subject_of(odd + photos("dogs", 60, 500, quality=70)))
    assert check.weight != "alarm"


def test_the_same_seed_gives_the_same_figures() -> None:
    """Folds and shuffles are drawn."""
    images = photos("cats", 32, quality=60) + photos("dogs", 34, 500, mean=100.0, width=9, height=9)
    assert check_shortcuts(subject_of(images)).describe() == check_shortcuts(subject_of(images)).describe()


def test_sessions_in_folders_and_names_are_noted() -> None:
    """No network sees them, but images of one session are alike, so they belong in one split."""
    cats = [p._replace(path=f"cats/monday/{n}.jpg") for n, p in enumerate(photos("cats", 40))]
    dogs = [p._replace(path=f"dogs/friday/{n}.jpg") for n, p in enumerate(photos("dogs", 40, 500))]
    check = check_shortcuts(subject_of(cats + dogs))
    assert check.weight == "note"
    assert "folder alone tells cats from dogs" in check.verdict
    assert "no network sees" in check.verdict


def test_the_label_in_folder_and_name_tells_nothing() -> None:
    """The class folder, the split's folder and the label's own word are taken out."""
    images = [
        p._replace(path=f"{split}/{p.label}/{p.label[:-1]}.{n}.jpg")
        for split in ("train", "Test_Set")
        for p, n in zip(photos("cats", 40) + photos("dogs", 40, 500), [*range(40), *range(40)], strict=True)
        if p.label
    ]
    cues = {cue["cue"]: cue for cue in check_shortcuts(subject_of(images)).figures["cues"]}
    assert "folder" not in cues
    assert not cues["file name"]["told"]


def test_a_word_in_the_names_is_noted() -> None:
    """Such as the name of a collection."""
    cats = [p._replace(path=f"cats/flickr_{n}.jpg") for n, p in enumerate(photos("cats", 40))]
    dogs = [p._replace(path=f"dogs/holiday_{n}.jpg") for n, p in enumerate(photos("dogs", 40, 500))]
    check = check_shortcuts(subject_of(cats + dogs))
    assert (check.weight, check.figures["shortcut"]) == ("note", None)
    assert "file name alone tells cats from dogs" in check.verdict
