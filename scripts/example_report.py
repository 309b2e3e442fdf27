"""Make docs/example/report.html, a report of drawn cats and dogs, and its picture: python scripts/example_report.py"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs" / "example" / "report.html", ROOT / "docs" / "images" / "report.png"
BROWSERS = ("chromium", "google-chrome", "chrome")
WINDOW = {"width": 1120, "height": 1000}


def make_page(page: Path) -> None:
    """Write the report of `examples/pets_report.py`; it names no folder of this machine but the one it is made in."""
    with tempfile.TemporaryDirectory(prefix="featstore-") as folder:
        subprocess.run([sys.executable, ROOT / "examples" / "pets_report.py"], cwd=folder, check=True)
        text = (Path(folder) / "report.html").read_text(encoding="utf-8")
        page.write_text(text.replace(str(Path(folder).resolve()), "/home/me"), encoding="utf-8")


def draw_picture(page: Path, picture: Path) -> None:
    """Write the top of the page as a PNG."""
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page(viewport=WINDOW)
        window.goto(page.as_uri())
        window.screenshot(path=picture)
    with Image.open(picture) as drawn:
        drawn.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    make_page(PAGE)
    draw_picture(PAGE, PICTURE)
