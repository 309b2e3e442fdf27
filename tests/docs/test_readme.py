"""The README tells the truth: its Python runs, its commands exist, its figures about tiny hold."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from featstore.bases.source import BaseSource
from helpers.paths import ROOT
from helpers.photos import write_photos

README = (ROOT / "README.md").read_text()


def test_its_python_runs(tmp_path: Path) -> None:
    """As it stands, in a folder with photos."""
    [block] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    write_photos(tmp_path / "photos", 8)
    subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True, capture_output=True)


def test_its_options_exist() -> None:
    """Every --option that it names is one of featstore's or of the programs it calls."""
    import typer.main

    from featstore.cli.app import app

    group = typer.main.get_command(app)
    commands = [*group.commands.values()]  # type: ignore[attr-defined]
    commands += [inner for outer in commands for inner in getattr(outer, "commands", {}).values()]
    known = {name for c in commands for p in c.params for name in p.opts}
    assert set(re.findall(r"(?<!-)--[a-z][a-z-]+", README)) <= known | {"--help", "--data", "--kills"}


def test_its_size_of_tiny_is_right() -> None:
    """In KB of the file that the package ships, and under 1 MB."""
    path = BaseSource("tiny", "shipped").weights_file(32, 32)
    assert path is not None
    assert f"({path.stat().st_size / 1000:.0f} KB)" in README
    assert path.stat().st_size < 1_000_000
