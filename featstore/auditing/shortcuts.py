"""Shortcuts: does something other than what the pictures show tell the label?

A head that tells cats from dogs by the quality of their JPEG files is right on these images and wrong on all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from featstore.auditing.cues import cues_of
from featstore.auditing.findings import Check
from featstore.auditing.subject import Subject
from featstore.auditing.tells import FEWEST, FEWEST_UNITS, Tell, cross_table, questions_of, side_of, tell_of
from featstore.auditing.visible import Visible, visible_in
from featstore.errors import param, spelled
from featstore.system.figures import with_interval
from featstore.system.text import Table

TITLE = "Shortcuts"
_SEEN = ("file", "shape")  # roles of cues that a network may see
_ALIKE = 0.02  # of balanced accuracy: the plainer cue of two is named
_BY_SESSION = (
    "if folders or names stand for sessions, keep each session in one split, with "
    f"{param('group_by', '([^/]+)/[^/]+$')} for folders"
)
_TOO_FEW = (
    f"not checked: a class, and all others together, need {FEWEST} images each, "
    f"of {FEWEST_UNITS} different pictures or groups"
)


def check_shortcuts(subject: Subject) -> Check:
    """Say which cue tells a class from the others, if any does."""
    import numpy as np

    places = [place for place, picture in enumerate(subject.labelled) if picture.digest in subject.sketches]
    pictures = [subject.labelled[place] for place in places]
    facts = [subject.sketches[picture.digest].facts for picture in pictures]
    units = [subject.units[place] for place in places]
    questions = questions_of([picture.class_name for picture in pictures], units, subject.seed)
    if not questions:
        return Check(name="shortcuts", title=TITLE, weight="fine", verdict=_TOO_FEW)
    cues = cues_of(pictures, facts, subject.manifest.source)
    tells = [tell_of(cue, questions, subject.seed) for cue in cues]
    figures = {"images": len(pictures), "shortcut": None, "visible": None, "cues": [tell.describe() for tell in tells]}
    seen = [tell for tell in tells if tell.is_told and tell.cue.role in _SEEN]
    if not seen:
        return _without_shortcut(tells, figures)
    top = max(tell.accuracy for tell in seen)
    named = next(tell for tell in seen if tell.accuracy >= top - _ALIKE)
    question = next(question for question in questions if question.label == named.label)
    rows = np.asarray(places)[question.rows]
    labels = np.asarray([picture.class_name for picture in pictures])[question.rows]
    visible = visible_in(subject.X[rows], side_of(named, question), labels, question.units, subject.seed)
    others = [tell.cue.name for tell in seen if tell is not named]
    return Check(
        name="shortcuts",
        title=TITLE,
        weight="look" if named.cue.role == "shape" or (visible and visible.is_hidden) else "alarm",
        verdict=f"{_sentence(named)}{_too(others)}; {_consequence(visible)}",
        figures=figures | {"shortcut": named.describe(), "visible": visible.describe() if visible else None},
        table=cross_table(named, question),
        advice="make the files of all classes alike, by their source or by saving them in one way, and train again",
    )


def _without_shortcut(tells: Sequence[Tell], figures: Mapping[str, Any]) -> Check:
    """Return the check where no network can see what tells a label."""
    files = [tell for tell in tells if tell.cue.role in _SEEN]
    paths = [tell for tell in tells if tell.is_told and tell.cue.role == "path"]
    if files:
        best = max(files, key=lambda tell: tell.accuracy)
        accuracy = with_interval(best.accuracy, best.interval)
        verdict = (
            f"no fact about the files tells a label; the best is {best.cue.name} for {best.label} "
            f"(balanced accuracy {accuracy}, 0.5 is chance)"
        )
    else:
        verdict = "all files are alike in format, size, quality and border, so none of these tells a label"
    if paths:
        verdict += f"; {_sentence(paths[0])}: no network sees it, but images of one session are alike"
    rows = [
        (tell.cue.name, tell.label, with_interval(tell.accuracy, tell.interval), "yes" if tell.is_told else "no")
        for tell in tells
    ]
    return Check(
        name="shortcuts",
        title=TITLE,
        weight="note" if paths else "fine",
        verdict=verdict,
        figures=figures,
        table=Table(["cue", "class it tells best", "balanced accuracy", "tells it"], rows) if rows else None,
        advice=spelled(_BY_SESSION) if paths else "",
    )


def _sentence(tell: Tell) -> str:
    """Return what a cue tells, and how well."""
    accuracy = with_interval(tell.accuracy, tell.interval)
    return f"{tell.cue.name} alone tells {tell.label} from {tell.others} (balanced accuracy {accuracy}, 0.5 is chance)"


def _too(others: Sequence[str]) -> str:
    return f"; so {'do' if len(others) > 1 else 'does'} {', '.join(others)}" if others else ""


def _consequence(visible: Visible | None) -> str:
    """Return whether a head could use the shortcut."""
    if visible is None:
        return "a head may learn this instead of what the pictures show; no class has both, so that cannot be measured"
    accuracy = f"(balanced accuracy {with_interval(visible.accuracy, visible.interval)})"
    if visible.is_hidden:
        return f"these features hardly show it: within {visible.within} a head does not find it {accuracy}"
    if visible.is_seen:
        return f"the features show it, so a head can use it: within {visible.within} one finds it {accuracy}"
    return f"the features may show it: within {visible.within} a head finds it in part {accuracy}"
