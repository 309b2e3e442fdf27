"""Plain English: docstrings and messages use standard words, and a docstring is a sentence or a noun phrase."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import featstore

SOURCES = sorted(Path(featstore.__file__).parent.rglob("*.py"))

# What it says, and what to say instead.
RETIRED = {
    r"comes? back": "returns, is returned",
    r"(?<!there )\bis no (?!longer|more|less|larger|such)\w": "is not a",
    r"\b[Ww]hoever\b": "name the actor: a process, a user",
    r"\b[Ss]omebody\b": "another process, another user",
    r"\banew\b": "again",
    r"\btold apart\b|\btell\w* apart\b": "significantly different",
    r"\bas far as\b": "where, if",
    r"\bin hand\b": "name the state",
    r"\bto be had\b|\bcan be had\b|\bcannot be had\b": "is available",
    r"\bbeside (?!each other)": "next to, with",
}
FRAGMENT = re.compile(r"(Of|By|As|In|Until|Into|For|With|From|At|On|To) \S")


def test_words_that_must_be_decoded_are_not_used() -> None:
    """A stranger reads a line once; each of these was read twice."""
    found = [
        f"{path.name}:{line}: {match[0]!r}: say {RETIRED[pattern]}"
        for path in SOURCES
        for line, text in _texts(path)
        for pattern in RETIRED
        for match in [re.search(pattern, text)]
        if match
    ]
    assert not found, "\n".join(found)


def test_docstrings_do_not_go_on_from_the_name() -> None:
    """`of_split`: "Of one split." is half a sentence."""
    found = [
        f"{path.name}:{node.lineno}: {text.splitlines()[0]}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        for text in [ast.get_docstring(node) or ""]
        if FRAGMENT.match(text)
    ]
    assert not found, "\n".join(found)


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield docstrings, messages and comments with their line numbers."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for number, line in enumerate(source.splitlines(), 1):
        if match := re.search(r"(^|\s)# (.*)", line):
            yield number, match[2]
