"""The command blocks and Python blocks of the documents.

    ```console     lines that begin with `$ ` are commands, the others what they print
    ```python      Python
    ```text        neither

A block is run by the tests unless the line before it says why not: <!-- not run: REASON -->
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")


class Block(NamedTuple):
    """A fenced block of a document, with the line it begins at and, if it is not run, the reason."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None

    def commands(self) -> list[Command]:
        """Return the commands of a console block, those that `&&` joins one by one."""
        parts = re.split(r"^\$ ", self.text.replace("\\\n", ""), flags=re.M)
        assert not parts[0].strip(), f"{self.page}, line {self.line}: a console block begins with `$ `"
        commands = []
        for part in parts[1:]:
            line, _, output = part.partition("\n")
            *first, last = line.split("&&")
            commands += [Command(tuple(shlex.split(text)), "") for text in first]
            commands.append(Command(tuple(shlex.split(last)), output))
        return commands


class Command(NamedTuple):
    """A command line in words, and the output that the document shows; empty where it shows none."""

    words: tuple[str, ...]
    output: str


def read_blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a document in order."""
    document = path.read_text(encoding="utf-8")
    return [
        Block(path.name, document[: found.start()].count("\n") + 1, found["language"], found["text"], found["reason"])
        for found in _BLOCK.finditer(document)
    ]


def shows(expected: str, printed: str) -> bool:
    """Return whether `printed` is what a document shows: the same words, any numbers; `...` stands for any lines."""
    pieces = [re.escape(_words(piece)) for piece in re.split(r"^\.\.\.$", expected, flags=re.M)]
    return re.fullmatch(r"\s*" + ".*".join(pieces) + r"\s*", _words(printed), re.S) is not None


def _words(text: str) -> str:
    """Return `text` with every number as 0, without spaces that only align columns, and without empty lines."""
    lines = (" ".join(_NUMBER.sub("0", line).split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line) + "\n"
