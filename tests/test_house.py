"""The order of the house: what each package may import, what stays light, and where tests are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import featstore
from helpers.paths import ROOT, TESTS

PACKAGE = Path(featstore.__file__).parent
RUFF = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
HEAVY = RUFF["flake8-tidy-imports"]["banned-module-level-imports"]
MAY_LOAD_THEM = {path for path, rules in RUFF["per-file-ignores"].items() if "TID253" in rules}


def test_layers_are_kept() -> None:
    """The contracts in pyproject.toml: each layer imports only from those below it, and nothing goes in circles."""
    done = subprocess.run([Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_top_of_the_package_can_be_taken_in_at_a_glance() -> None:
    """A new idea goes into a package; a new package replaces another or needs a good reason."""
    assert len([path for path in PACKAGE.iterdir() if path.name != "__pycache__"]) <= 31


LIGHT = """
import importlib, sys
heavy, modules = (text.split() for text in sys.argv[1:])
for module in modules:
    importlib.import_module(module)
    loaded = [name for name in heavy if name in sys.modules]
    assert not loaded, f"{module} loads {loaded} when it is imported"
"""


def test_only_the_modules_that_are_named_load_heavy_packages() -> None:
    """Ruff sees what a module imports itself; this sees what comes with it. Imports inside functions are free."""
    files = {f"featstore/{path.relative_to(PACKAGE).as_posix()}": path for path in sorted(PACKAGE.rglob("*.py"))}
    assert {path for path in MAY_LOAD_THEM if path.startswith("featstore/")} <= set(files)
    light = [name for name in files if name not in MAY_LOAD_THEM and not name.endswith("__main__.py")]
    modules = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in light]
    assert "featstore" in modules
    command = [sys.executable, "-c", LIGHT, " ".join(HEAVY), " ".join(modules)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_module_is_left_over() -> None:
    """Each is imported by another; commands and heads are named in tables."""
    used: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                used |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
    modules = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("[!_]*.py")}
    left_over = {name for name in modules - used if not name.startswith(("featstore.cli.", "featstore.heads."))}
    assert not left_over


def test_every_package_has_its_folder_of_tests() -> None:
    """So it is known where a test goes, and where to look for one."""
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert not packages - {path.name for path in TESTS.iterdir() if any(path.glob("test_*.py"))}


def test_no_test_imports_from_another() -> None:
    """What two of them need is in tests/helpers."""
    names = {path.stem for path in TESTS.rglob("test_*.py")} | {"conftest"}
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported = [node.module or "", *(alias.name for alias in node.names)]
            elif isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            else:
                continue
            assert not names & {name.rsplit(".", 1)[-1] for name in imported}, path


def test_twins_use_nothing_of_the_product() -> None:
    """What they compute is compared with it."""
    names = {
        name.split(".")[0]
        for node in ast.walk(ast.parse((TESTS / "helpers" / "twins.py").read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert "keras" in names
    assert "featstore" not in names


WITHOUT = """
import sys, pytest
pytest.main(["-n", "0", "-q", "-p", "no:cacheprovider", "-m", "not tf", *sys.argv[1:]])
print("loaded:", {"tensorflow", "keras"} & set(sys.modules))
"""


def test_the_light_tests_never_load_tensorflow() -> None:
    """Of two files, one imports Keras at its top, and one has a test that would load it later."""
    files = ("tests/bases/test_cut.py", "tests/extraction/test_plan.py")
    done = subprocess.run([sys.executable, "-c", WITHOUT, *files], cwd=ROOT, capture_output=True, text=True)
    assert re.search(r"^\d+ passed, 2 skipped", done.stdout, re.MULTILINE), done.stdout
    assert "loaded: set()" in done.stdout


OF_THE_DISK = {
    *("open", "os.open", "os.stat", "os.listdir", "os.scandir", "os.walk"),
    *("os.path.abspath", "os.path.realpath", "os.path.relpath", "os.path.dirname", "os.path.join", "os.path.normpath"),
    *("os.path.exists", "os.path.lexists", "os.path.isdir", "os.path.isfile", "os.path.split"),
}
WITH_IMAGES = ("datasets", "images", "copies", "auditing", "explanation", "reporting", "comparison", "base_check")
KNOW_THE_DISK = {  # modules that ask whether a place is a URL before, or have files and folders of their own
    *(
        f"datasets/{name}.py"
        for name in ("disk_walk", "manifest", "states", "table_paths", "tar_files", "tar_names", "tars", "walks")
    ),
    *("datasets/array_files.py", "datasets/digests.py"),
    *("auditing/fix_split.py", "base_check/labels.py"),
    *("comparison/grid.py", "comparison/naming.py"),
}


def test_where_an_image_is_may_be_a_url() -> None:
    """`os.path.abspath` takes a URL for a folder, and `os.path.exists` for one that is not there: `objects.places`."""
    for package in WITH_IMAGES:
        for path in (PACKAGE / package).rglob("*.py"):
            nodes = [
                node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute | ast.Name)
            ]
            if path.relative_to(PACKAGE).as_posix() not in KNOW_THE_DISK:
                assert not OF_THE_DISK & {ast.unparse(node) for node in nodes}, path
