"""Write docs/cli.md, the reference of the command line, from the commands' own help.

python scripts/cli_reference.py          write it
python scripts/cli_reference.py --check  exit with 1 if it differs from what is there
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from featstore.cli.app import make_app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
NOT_RUN = "<!-- not run: example of the help -->"  # the tests of the documents parse it
INTRODUCTION = """\
# Command line

<!-- Written by scripts/cli_reference.py from the commands' own help. Change the help, then run the script. -->

Results go to standard output, progress and warnings to standard error. Most commands take `--json` (one JSON object on
standard output) and `--quiet`. Exit codes: 0 done, 1 an expected failure (one line on standard error), 2 usage,
130 interrupted."""


def render() -> str:
    """Return the whole page."""
    root = typer.main.get_command(make_app())
    parts = [INTRODUCTION]
    for name, command in _walk("featstore", root):
        parts += _section(name, command)
    return "\n\n".join(parts) + "\n"


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with its full name, in the order of the help."""
    commands = getattr(command, "commands", None)
    if not commands:
        yield name, command
    for inner, child in (commands or {}).items():
        if not child.hidden:
            yield from _walk(f"{name} {inner}", child)


def _section(name: str, command: Any) -> Iterator[str]:
    context = typer.Context(command, info_name=name)
    yield f"## {name}"
    usage = " ".join(command.get_usage(context).split()).removeprefix("Usage: ")
    yield f"```text\n{usage}\n```"
    for paragraph in command.help.split("\n\n"):
        text = " ".join(paragraph.split())
        example = text.removeprefix("Example: ")
        yield f"{NOT_RUN}\n```console\n$ {example}\n```" if example != text else _prose(text)
    for kind in ("argument", "option"):
        records = [p.get_help_record(context) for p in command.params if p.param_type_name == kind]
        lines = [_line(*record) for record in records if record]
        if lines:
            yield "\n".join([f"| {kind} | meaning |", "|---|---|", *lines])


def _line(spelling: str, meaning: str) -> str:
    """Return a line of a table; the choices of an option stand with its meaning, where there is room for them."""
    name, _, value = spelling.partition(" ")
    if "|" in value:
        spelling, meaning = name, f"{', '.join(f'`{choice}`' for choice in value.strip('<>').split('|'))}. {meaning}"
    return f"| `{spelling}` | {_prose(' '.join(meaning.split()))} |"


def _prose(text: str) -> str:
    """Escape what Markdown would take for HTML or emphasis; text in backticks stays as it is."""
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", r"\*").replace("_", r"\_") for part in parts[::2]]
    return "`".join(parts)


def main() -> None:
    page = render()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
    elif page != PAGE.read_text(encoding="utf-8"):
        sys.exit("docs/cli.md is not what the commands' help says: run python scripts/cli_reference.py")


if __name__ == "__main__":
    main()
