"""The sheet of answers: every image with its label, the unsure and the wrong ones framed."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featstore.errors import UsageError
from featstore.plots.sheet import MOST_IN_PNG, Answer, draw_sheet
from featstore.runs.prediction import ImagePrediction, Prediction, labels_of_folders

RED, ORANGE = (0xC6, 0x28, 0x28), (0xE6, 0x9F, 0x00)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """A green image, wider than high."""
    Image.new("RGB", (320, 160), (0, 200, 0)).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def pixels(answers: list[Answer]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_sheet(answers, "photos: logistic on tiny, 64 px"))).convert("RGB"))


def share(sheet: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((sheet == colour).all(axis=2).sum())


def test_an_image_is_shown_whole(photo: str) -> None:
    """In its own proportions, 160 pixels wide; nothing is cut off."""
    assert share(pixels([Answer(photo, "cat", "0.998", False)]), (0, 200, 0)) == 160 * 80


def test_the_unsure_and_the_wrong_are_framed(photo: str) -> None:
    """In two colours and widths; what is right or not known has no frame."""
    sure, unsure = Answer(photo, "cat", "0.998", False, "cat"), Answer(photo, "cat", "0.510", True)
    wrong = Answer(photo, "cat", "0.990", False, "dog")
    assert share(pixels([sure]), RED) == share(pixels([sure]), ORANGE) == 0
    assert share(pixels([unsure]), ORANGE) == 166**2 - 160**2
    assert share(pixels([wrong]), RED) > 170**2 - 160**2  # and the right label in red
    assert share(pixels([wrong._replace(is_unsure=True)]), ORANGE) == 0


def test_what_can_no_longer_be_read_has_an_empty_place(tmp_path: Path) -> None:
    """The prediction came from the cache, perhaps."""
    assert pixels([Answer(str(tmp_path / "gone.png"), "cat", "0.998", False)]).shape[2] == 3


def test_a_png_has_the_first_and_says_so_and_a_pdf_has_all(photo: str) -> None:
    """A picture of a million pixels a side opens nowhere; 40 images are a page."""
    answers = [Answer(photo, "cat", "0.998", False)] * (MOST_IN_PNG + 1)
    with pytest.warns(UserWarning, match=r"the first 200 of 201 images; one with the ending \.pdf has all"):
        draw_sheet(answers, "t")
    pdf = draw_sheet(answers, "t", "pdf")
    assert pdf.startswith(b"%PDF")
    assert b"Date" not in pdf
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 6


def test_a_number_stands_for_one_word_on_all_pages(photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page has other labels, and one list says which is which."""
    monkeypatch.setattr("featstore.plots.fonts.font_of", lambda word: None)
    answers = [Answer(photo, label, "0.998", False) for label in "猫犬" for _ in range(41)]
    with pytest.warns(UserWarning, match="#1 for 猫, #2 for 犬;") as caught:
        draw_sheet(answers, "t", "pdf")
    assert len(caught) == 1


@pytest.mark.parametrize("count", [1, 5, 17, 41])
def test_nothing_is_cut_at_the_edges(photo: str, count: int) -> None:
    """The outermost pixels are white all around, whatever the names are."""
    answers = [Answer(photo, "a class with a very long name indeed", ">0.999999", True, "x" * 90)] * count
    sheet = pixels(answers)
    assert all((edge == 255).all() for edge in (sheet[:9], sheet[-9:], sheet[:, :9], sheet[:, -9:]))


def prediction(*probabilities: tuple[float, float], folder: str = "new") -> Prediction:
    images = [ImagePrediction(f"{folder}/{n}.png", "cat", max(p), p) for n, p in enumerate(probabilities)]
    return Prediction(tuple(images), (), ("cat", "dog"))


def test_unsure_is_less_than_twice_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """So 0.6 of two classes is unsure, and 0.6 of ten with nothing near it is not. Digits never round to 1."""
    drawn: list[Answer] = []
    monkeypatch.setattr("featstore.plots.sheet.draw_sheet", lambda answers, *_: drawn.extend(answers) or b"")
    prediction((0.66, 0.34), (0.67, 0.33), (0.99999, 0.00001)).draw_sheet(right=["cat", None, "dog"])
    assert [answer.is_unsure for answer in drawn] == [True, False, False]
    assert [answer.is_wrong for answer in drawn] == [False, False, True]
    assert drawn[2].probability == "0.99999"
    with pytest.raises(UsageError, match="`right`: expected 1 labels, found 2"):
        prediction((0.6, 0.4)).draw_sheet(right=["cat", "dog"])


def test_unsure_is_more_than_one_answer_where_answers_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sheet and the table say the same, and the sheet says what its frames mean."""
    drawn: list[Answer] = []
    meant: list[str] = []

    def record(answers: list[Answer], title: str, kind: str, means: str) -> bytes:
        meant.append(means)
        drawn.extend(answers)
        return b""

    monkeypatch.setattr("featstore.plots.sheet.draw_sheet", record)
    found = prediction((0.6, 0.4), (0.6, 0.4))
    answers: tuple[tuple[str, ...], ...] = (("cat", "dog"), ("cat",))
    images = tuple(image._replace(answers=a) for image, a in zip(found.images, answers, strict=True))
    replace(found, images=images, unsure=0.9).draw_sheet()
    assert [answer.is_unsure for answer in drawn] == [True, False]
    assert meant == ["more than one class may be right"]


def test_a_folder_named_as_a_class_says_what_is_right() -> None:
    """Any other folder says nothing."""
    assert labels_of_folders(prediction((0.6, 0.4), folder="test/dog")) == ["dog"]
    assert labels_of_folders(prediction((0.6, 0.4), folder="dog/new")) == [None]


def test_a_sheet_is_saved_by_its_ending(photo: str, tmp_path: Path) -> None:
    """A PNG or a PDF, and nothing else."""
    one = Prediction((ImagePrediction(photo, "cat", 0.9, (0.9, 0.1)),), (), ("cat", "dog"))
    one.save_sheet(tmp_path / "sheet.pdf", title="t")
    assert (tmp_path / "sheet.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(UsageError, match=r"ends in \.png or \.pdf"):
        one.save_sheet(tmp_path / "sheet.svg")
