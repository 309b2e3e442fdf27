"""The display of progress, with and without a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from featstore.system import progress as module
from featstore.system.progress import Display, Silent, displayed


def test_nothing_is_shown_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """The verbs are silent by default, as a library should be."""
    with displayed(False) as progress:
        assert isinstance(progress, Silent)
        progress.start(10, reused=2)
        progress.tell("2 classes")
        progress.steps("fit")(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_progress_of_ones_own_is_called() -> None:
    """Any object with the methods of `Progress` works; it is not stopped, since it belongs to the caller."""
    own = Silent()
    with displayed(own) as progress:
        assert progress is own


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A log gets a line every ten seconds, on standard error."""
    monkeypatch.setattr(module, "_SECONDS", -1)
    with displayed(True) as progress:
        progress.start(5, reused=2)
        progress.advance(computed=True)
        on_step = progress.steps("bn-dropout", "epochs")
        on_step(0, 9)
        on_step(1, 9)
        progress.hold()
        progress.wait(3)
        progress.wait(2)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "2 of 5 images are in the cache, 3 to go"
    assert lines[1].startswith("1/3 images, ")
    assert lines[2] == "bn-dropout: 1/9 epochs"
    assert [line.split()[-1] for line in lines[3:]] == ["it", "them"]


def test_an_extraction_with_nothing_to_do_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """A re-run prints nothing."""
    Display().start(5, reused=5)
    assert capsys.readouterr() == ("", "")


ON_A_TERMINAL = """
from featstore.system.progress import displayed
with displayed(True) as progress:
    progress.start(2, reused=0)
    progress.advance(True); progress.tell("2 classes: [b]cat, dog"); progress.advance(True)
    progress.steps("fit", "epochs")(1, 2)
print("done")
"""


def test_a_bar_on_a_terminal_goes_when_the_job_ends() -> None:
    """Both bars are drawn, one after the other, and the cursor is shown again."""
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-c", ON_A_TERMINAL], stderr=theirs, stdout=subprocess.PIPE, text=True)
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 65536):
            drawn += chunk
    except OSError:  # all was read
        pass
    os.close(ours)
    assert done.stdout == "done\n"
    assert b"extracting" in drawn
    assert b"2 classes: [b]cat, dog" in drawn
    assert b"fit" in drawn
    assert drawn.rfind(b"\x1b[?25h") > drawn.rfind(b"\x1b[?25l") >= 0
