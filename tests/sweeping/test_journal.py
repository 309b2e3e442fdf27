"""The journal of a sweep: what is in it is read again, a torn line is cut off, and another sweep is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featstore.errors import RunError
from featstore.sweeping.journal import Journal
from featstore.sweeping.scoring import Score
from featstore.sweeping.trials import Trial

TRIAL = Trial(1, "bn-dropout", (("p", 0.3), ("units", 64)))
SCORE = Score(np.array([0.1, np.nan, 700.0], np.float32), np.array([True, False, False]), 1.5, behind=True)


def write(path: Path, *trials: Trial) -> None:
    with Journal(path, "one") as journal:
        journal.add(dict.fromkeys(trials, SCORE))


def test_a_trial_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "new" / "j.jsonl", TRIAL, Trial(0, "logistic"))
    with Journal(tmp_path / "new" / "j.jsonl", "one") as journal:
        assert list(journal.scores) == [TRIAL, Trial(0, "logistic")]
        score = journal.scores[TRIAL]
    np.testing.assert_array_equal(score.losses, SCORE.losses)
    np.testing.assert_array_equal(score.right, SCORE.right)
    assert score[2:] == SCORE[2:]


def test_what_a_killed_process_leaves_of_a_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    write(path, TRIAL)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"recipe": 0, "head": "log')
    write(path, Trial(0, "logistic"))
    lines = path.read_bytes().splitlines()
    assert (lines[:2], len(lines)) == (whole.splitlines(), 3)


def test_the_journal_of_another_sweep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    write(path, TRIAL)
    before = path.read_bytes()
    with pytest.raises(RunError, match="is of another sweep.*give another `journal`"):
        Journal(path, "two")
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["nonsense\n", "[]\n", '{"format": "featstore-run"}\n'])
def test_a_file_that_is_no_journal_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text(content)
    with pytest.raises(RunError, match="line 1 is not that of a sweep"):
        Journal(path, "one")
    assert path.read_text() == content


def test_two_processes_do_not_write_to_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, "one"), pytest.raises(RunError, match="another process goes on with this sweep"):
        Journal(path, "one")
    write(path, TRIAL)
