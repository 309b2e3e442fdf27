"""Warnings of Python's on the command line: one line each, without a place in the code."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from featstore.plots import fonts
from helpers.cli import call
from helpers.photos import draw


def test_letters_that_cannot_be_drawn_are_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which label a number stands for; the table has the label itself."""
    for label in ("猫", "discs"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(6):
            kind = "discs" if label == "discs" else "stripes"
            draw(kind, number).save(tmp_path / "photos" / label / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fonts, "font_of", lambda word: None if "猫" in word else fonts.default_font())
    options = ("--model", "pixels", "--size", "8", "--quiet")
    run = call("train-head", "photos", *options).out.strip()
    with warnings.catch_warnings(action="default"):
        done = call("predict", run, "photos/猫", "--sheet", "sheet.png")
    [line] = [line for line in done.err.splitlines() if "font" in line]
    assert line.startswith("warning: no font on this machine draws these words, so the picture has #1 for 猫; install")
    assert "猫" in done.out
