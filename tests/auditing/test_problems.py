"""Images that may not show what their label says are listed with the reason, and ordinary ones are not."""

from __future__ import annotations

from typing import Any

import pytest

from featstore.auditing.findings import Check
from featstore.auditing.problems import DOZEN, check_problems
from helpers.known import PHOTO, Known, photos, subject_of


def with_one(side: int = 224, **facts: Any) -> Check:
    """The check of 99 ordinary photos and one that differs in `facts`."""
    return check_problems(
        subject_of([*photos("cats", 99), Known("cats", PHOTO._replace(**facts), "cats/odd.jpg")], side)
    )


def kinds(check: Check) -> set[str]:
    """The facts that are told of the odd one."""
    (text,) = [f.text for f in check.findings if f.paths == ("data/cats/odd.jpg",) and f.score >= 1] or [""]
    return {part.split(":")[0] for part in text.split("; ") if part}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, set()),
        ({"width": 63, "height": 90}, {"tiny"}),
        ({"width": 64, "height": 90}, set()),
        ({"width": 900, "height": 290}, {"odd-shaped"}),
        ({"width": 290, "height": 900}, {"odd-shaped"}),
        ({"width": 900, "height": 300}, set()),
        ({"low": 100.0, "high": 139.0}, {"near-constant"}),
        ({"low": 100.0, "high": 140.0}, set()),
        ({"mean": 29.0, "low": 0.0, "high": 80.0}, {"dark"}),
        ({"mean": 29.0, "low": 0.0, "high": 200.0}, set()),
        ({"mean": 230.0, "low": 180.0, "high": 255.0}, {"bright"}),
        ({"mean": 230.0, "low": 90.0, "high": 255.0}, set()),
        ({"mean": 0.0, "low": 0.0, "high": 0.0, "sharpness": 0.0}, {"near-constant", "dark"}),
    ],
)
def test_facts_have_limits(facts: dict[str, Any], expected: set[str]) -> None:
    """A flower on black or on white is no problem, and what is at a limit is not beyond it."""
    check = with_one(**facts)
    assert kinds(check) == expected
    assert check.weight == ("look" if expected else "note")


def test_what_is_tiny_depends_on_the_input() -> None:
    """100 px are blown up more than four times for a network of 512 px."""
    assert kinds(with_one(512, width=100, height=100)) == {"tiny"}
    assert kinds(with_one(224, width=100, height=100)) == set()


def test_what_most_images_are_is_how_the_set_is() -> None:
    """Digits of 28 px are told in one sentence, not in 3,500 findings."""
    check = check_problems(subject_of(photos("3", 50, width=28, height=28)))
    assert check.weight == "note"
    assert "none of 50 images stands out; all are tiny, which is how the set is" in check.verdict
    assert not any(finding.kind == "tiny" for finding in check.findings)


def test_the_least_sharp_dozen_is_to_be_looked_at() -> None:
    """They are ranked, and not called errors; the score of facts is above theirs."""
    check = with_one(sharpness=1.0)
    (first, *_), dozen = check.findings, [f for f in check.findings if f.kind == "least sharp"]
    assert first.paths == ("data/cats/odd.jpg",)
    assert len(dozen) == 10  # a tenth of 100 images
    assert len([f for f in check_problems(subject_of(photos("a", 300))).findings if f.kind == "darkest"]) == DOZEN
    assert "which may be fine" in check.verdict
    scores = [f.score for f in dozen]
    assert scores == sorted(scores, reverse=True)
    assert max(scores) < 1


def test_contrast_is_not_sharpness() -> None:
    """A sharp photo of fog is not blurred: a third of the contrast is a ninth of the variance."""
    check = with_one(low=100.0, high=173.0, sharpness=PHOTO.sharpness - 2.2)
    assert not [f for f in check.findings if f.kind == "least sharp" and f.paths == ("data/cats/odd.jpg",)]


def test_the_worst_is_first() -> None:
    """By how far it is beyond its limit."""
    images = [Known("a", PHOTO._replace(width=w, height=w), f"a/{w}.jpg") for w in (60, 10, 30)]
    check = check_problems(subject_of([*photos("a", 100), *images]))
    assert [f.paths[0] for f in check.findings[:3]] == ["data/a/10.jpg", "data/a/30.jpg", "data/a/60.jpg"]


def test_an_image_with_two_problems_is_listed_once() -> None:
    """With both, under the name of the worse one; each is counted."""
    check = with_one(width=195, height=33)
    assert check.findings[0].kind == "odd-shaped"
    assert check.findings[0].text == "odd-shaped: 195 x 33 px, 5.9 to 1; tiny: 195 x 33 px"
    assert "1 tiny, 1 odd-shaped of 100 images" in check.verdict


def test_a_problem_of_one_class_is_told() -> None:
    """And one that is spread over the classes is not said to be of one."""
    dark = {"mean": 10.0, "low": 0.0, "high": 40.0}
    of_one = check_problems(subject_of(photos("a", 100) + photos("b", 90, 500) + photos("b", 10, 800, **dark)))
    assert "10 dark (10 of them b) of 200 images" in of_one.verdict
    spread = [p for label in "ab" for p in photos(label, 95, 500) + photos(label, 5, 800, **dark)]
    assert "10 dark of 200 images" in check_problems(subject_of(spread)).verdict


def test_images_without_labels_are_looked_at_too() -> None:
    """A label is not needed to be dark."""
    images = [*photos("a", 40), Known(None, PHOTO._replace(width=5, height=5), "new.jpg")]
    assert check_problems(subject_of(images)).findings[0].paths == ("data/new.jpg",)


def test_no_image_has_no_problem() -> None:
    """Nor does an image that could not be read, which has no sketch."""
    check = check_problems(subject_of([]))
    assert (check.weight, check.findings) == ("fine", ())
