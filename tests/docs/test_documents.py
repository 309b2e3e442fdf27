"""The documents tell the truth: their commands and their Python run, and print what is shown."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer.main

from featstore.bases.source import BaseSource
from featstore.cli.app import make_app
from featstore.heads import keras_head
from helpers.blocks import Block, Command, read_blocks, shows
from helpers.cli import call
from helpers.paths import ROOT
from helpers.photos import write_photos

PAGES = {
    path.name: path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
}
BLOCKS = [block for path in PAGES.values() for block in read_blocks(path)]
NOT_RUN = Counter(
    {
        ("README.md", "installs from the package registry"): 3,
        ("README.md", "the tutorial runs it"): 1,
        ("README.md", "ImageNet weights"): 1,
        ("CONTRIBUTING.md", "installs from the package registry"): 1,
        ("CONTRIBUTING.md", "runs the tests"): 1,
        ("audit.md", "ImageNet weights"): 2,
        ("audit.md", "benchmarks on data that are not shipped"): 1,
        ("audit.md", "data that are not shipped"): 1,
        ("cache.md", "ImageNet weights"): 2,
        ("cache.md", "needs a damaged file"): 1,
        ("cluster.md", "installs from the package registry"): 1,
        ("cluster.md", "starts Ray"): 2,
        ("data.md", "ImageNet weights"): 2,
        ("explain.md", "benchmarks on data that are not shipped"): 1,
        ("faq.md", "ImageNet weights"): 1,
        ("fine-tuning.md", "ImageNet weights"): 1,
        ("fine-tuning.md", "the test of the example runs it"): 1,
        ("index.md", "installs from the package registry"): 1,
        ("index.md", "ImageNet weights"): 1,
        ("learning-curve.md", "ImageNet weights"): 1,
        ("numbers.md", "ImageNet weights"): 1,
        ("numbers.md", "takes minutes"): 2,
        ("performance.md", "benchmarks on data that are not shipped"): 1,
        ("performance.md", "needs GPUs"): 1,
        ("posts.md", "ImageNet weights"): 4,
        ("preprocessing.md", "ImageNet weights"): 4,
        ("report.md", "ImageNet weights"): 1,
        ("results.md", "ImageNet weights"): 3,
        ("results.md", "data that are not shipped"): 1,
        ("runs.md", "ImageNet weights"): 2,
        ("sweep.md", "ImageNet weights"): 1,
        ("tutorial.md", "ImageNet weights"): 2,
    }
)
RUN = sorted({block.page for block in BLOCKS if block.language in ("console", "python") and not block.reason})


@pytest.fixture
def short_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the steps where a page does not say how many; figures are not compared."""
    monkeypatch.setattr(keras_head, "MOST_STEPS", 300)
    monkeypatch.setattr(keras_head, "LEAST_EPOCHS", 5)


@pytest.mark.usefixtures("short_trainings")
@pytest.mark.parametrize("page", RUN)
def test_what_a_page_shows_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom in one folder that holds `photos`, as a reader does; numbers may differ."""
    write_photos(tmp_path / "photos", 12)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in read_blocks(PAGES[page]):
        if block.reason:
            continue
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, page, "exec"), names)
        elif block.language == "console":
            for command in block.commands():
                run(command, block)


def run(command: Command, block: Block) -> None:
    """Run a command in this process, and compare what it prints with what the document shows."""
    where = f"{block.page}, line {block.line}: {' '.join(command.words)}"
    if command.words[0] == "cd":
        os.chdir(command.words[1])
        return
    assert command.words[0] == "featstore", f"{where}: only featstore is run; mark the block"
    done = call(*command.words[1:])
    assert done.code == 0, f"{where}: {done.err}"
    assert not command.output.strip() or shows(command.output, done.out), f"{where} printed:\n{done.out}"


def test_only_blocks_with_a_good_reason_are_not_run() -> None:
    """Each is listed here with its reason, so that the mark cannot be overused; cli.md has one per command."""
    marked = Counter((block.page, block.reason) for block in BLOCKS if block.reason and block.page != "cli.md")
    assert marked == NOT_RUN


def test_every_block_says_what_it_is() -> None:
    """There are no commands or Python that the tests do not see."""
    assert {block.language for block in BLOCKS} == {"console", "python", "text"}
    for path in PAGES.values():
        fences = re.findall(r"^ *```", path.read_text(), re.MULTILINE)
        assert len(fences) == 2 * sum(block.page == path.name for block in BLOCKS), path
    assert not [block for block in BLOCKS if block.language == "text" and block.text.startswith("$ ")]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.reason], ids=lambda b: f"{b.page}:{b.line}")
def test_commands_that_are_not_run_can_be_parsed(block: Block) -> None:
    """With every option and choice that they name."""
    if block.language != "console":
        return
    for words, _ in block.commands():
        if words[0] != "featstore":
            continue
        command, rest = typer.main.get_command(make_app()).commands[words[1]], list(words[2:])  # type: ignore[attr-defined]
        while rest and rest[0] in getattr(command, "commands", {}):  # `runs` has verbs, and needs none
            command = command.commands[rest.pop(0)]
        command.make_context("featstore", rest)


def test_commands_in_the_table_of_posts_can_be_parsed() -> None:
    """They are what a reader of posts types."""
    found = re.findall(r"`(featstore [^`]+)`", PAGES["posts.md"].read_text())
    assert len(found) > 10
    for text in found:
        _, name, *rest = shlex.split(text)
        typer.main.get_command(make_app()).commands[name].make_context("featstore", rest)  # type: ignore[attr-defined]


def test_options_in_the_text_exist() -> None:
    """Every --option that a document names is one of featstore's, or of a program listed here."""
    group = typer.main.get_command(make_app())
    commands = [*group.commands.values()]  # type: ignore[attr-defined]
    commands += [inner for outer in commands for inner in getattr(outer, "commands", {}).values()]
    parameters = [parameter for command in commands for parameter in command.params]
    known = {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "--data", "--kills", "--strict", "--vector", "--logdir"}
    known |= {"--generate", "--head", "--port", "--address", "--disable-usage-stats"}  # of Ray
    for path in PAGES.values():
        assert set(re.findall(r"(?<![-\w])--[a-z][a-z-]+", path.read_text())) <= known, path


def test_the_readme_is_short() -> None:
    """All else is in docs/."""
    assert len(PAGES["README.md"].read_text().splitlines()) <= 150


def test_the_size_of_tiny_is_right() -> None:
    """In KB of the file that the package ships, and under 1 MB."""
    path = BaseSource("tiny", "shipped").weights_file(32, 32)
    assert path is not None
    assert f"({path.stat().st_size / 1000:.0f} KB)" in PAGES["results.md"].read_text()
    assert path.stat().st_size < 1_000_000


def test_the_plan_is_what_its_program_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command that the page names."""
    page = PAGES["scale.md"].read_text()
    program, *options = re.findall("`python (benchmarks/plan.py.*?)`", page)[0].split()
    monkeypatch.setattr("sys.argv", [program, *options])
    runpy.run_path(str(ROOT / program), run_name="__main__")
    assert f"```text\n{capsys.readouterr().out}```" in page


def test_the_tables_of_heads_are_complete() -> None:
    """With every parameter and its default: those of all Keras heads once, and of each head what it has beside them."""
    from dataclasses import fields

    from featstore.heads.keras_parameters import KerasParameters
    from featstore.heads.parameters import shown
    from featstore.heads.registry import HEADS

    def defaults(kind: type[Any]) -> dict[str, str]:
        return {field.name: f"{field.name}={shown(field.default)}" for field in fields(kind)}

    assert [*re.findall("`([a-z-]+)`", table(PAGES["README.md"], "head"))] == list(HEADS)
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|.*\| (.*) \|$", table(PAGES["heads.md"], "head"), re.MULTILINE))
    assert list(rows) == list(HEADS)
    common = defaults(KerasParameters)
    assert re.findall(r"^\| `(.*?)` \|", table(PAGES["heads.md"], "parameter"), re.MULTILINE) == [*common.values()]
    for name, head in HEADS.items():
        own = [text for key, text in defaults(head.parameters).items() if text != common.get(key)]
        assert re.findall("`(.*?)`", rows[name]) == own, name


def table(page: Path, first: str) -> str:
    """Return the rows of the table whose first column has the title `first`, without what is in brackets."""
    return re.sub(r"\(.*?\)", "", page.read_text().partition(f"\n| {first} |")[2].partition("\n\n")[0])


def test_the_table_of_packages_is_that_of_the_contracts() -> None:
    """From the top down, each line with the packages that do not know each other."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    text = PAGES["architecture.md"].read_text().split("## The packages")[1].split("\n## ")[0]
    rows = [re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)]
    assert [sorted(row) for row in rows] == [sorted(re.findall(r"\w+", layer)) for layer in layers]


# How the documents are read


def test_output_is_compared_word_by_word() -> None:
    """Numbers and the width of columns may differ, `...` stands for any lines."""
    assert shows("a  1.0\nb [2, 3]\n", "a      17\nb [-0.5, 1,000]\n")
    assert shows("first\n...\nlast\n", "first\nx\ny\nlast\n")
    assert shows("first\n...\n", "first\nx\n")
    assert not shows("first\n", "first\nx\n")
    assert not shows("first\n...\n", "zero\nfirst\n")
    assert not shows("3 rows right\n", "3 rows wrong\n")


def test_blocks_are_read(tmp_path: Path) -> None:
    """With their line, their reason, commands over several lines, and those that are joined."""
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n<!-- not run: why -->\n```console\n$ a 'b c' \\\n  d && e\nout\n$ f\n```\n\n```python\nx\n```\n"
    )
    console, python = read_blocks(page)
    assert console[1:3] + console[4:] == (3, "console", "why")
    assert python[1:] == (11, "python", "x\n", None)
    assert console.commands() == [Command(("a", "b c", "d"), ""), Command(("e",), "out\n"), Command(("f",), "")]
