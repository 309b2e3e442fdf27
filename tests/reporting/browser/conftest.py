"""The report in a browser that all tests of a process share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from featstore.reporting.page import render
from helpers.browser import DESKTOP, Visit
from helpers.report_content import HOSTILE, MANY, NON_LATIN, Made, bare_content, make_content

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Open = Callable[..., Visit]


def hostile_content() -> Made:
    """Every name on the page is a script or ends what it stands in: of classes, files, runs, settings and versions."""
    first, *_ = HOSTILE
    made = make_content(HOSTILE, 140, names="{label}/{number}.jpg")
    content = made.content
    runs = tuple(
        replace(
            run,
            folder=Path(f"runs/{name}"),
            head=name,
            chosen={name: name},
            data=name,
            command=name,
            remarks=HOSTILE,
            notes=HOSTILE,
            versions={name: name},
        )
        for run, name in zip(content.runs, HOSTILE, strict=False)
    )
    return Made(
        replace(
            content,
            title=first,
            command=" ".join(HOSTILE),
            summary=HOSTILE,
            data=replace(content.data, layout=first, remarks=HOSTILE),
            runs=runs,
            curves=dict(zip(HOSTILE, content.curves.values(), strict=False)),
            versions=dict.fromkeys(HOSTILE, first),
        ),
        made.thumbnails,
    )


CONTENTS: dict[str, Callable[[], Made]] = {
    "usual": lambda: make_content(n=60),
    "small": lambda: make_content(n=30),  # all parts, for what looks at each element
    "hostile": hostile_content,
    "non-latin": lambda: make_content(NON_LATIN, 105),
    "many": lambda: make_content(MANY, 480),
    "bare": bare_content,
}


class Contents(dict[str, Made]):
    """Each is made when it is first asked for: a process has only some of the tests."""

    def __missing__(self, name: str) -> Made:
        return self.setdefault(name, CONTENTS[name]())


class Pages(dict[str, Path]):
    """The page of each content, written when it is first asked for."""

    def __init__(self, contents: Contents, folder: Path) -> None:
        super().__init__()
        self._contents, self._folder = contents, folder

    def __missing__(self, name: str) -> Path:
        made, path = self._contents[name], self._folder / f"{name}.html"
        path.write_text(render(made.content, made.thumbnails), encoding="utf-8")
        return self.setdefault(name, path)


@pytest.fixture(scope="session")
def made() -> Contents:
    return Contents()


@pytest.fixture(scope="session")
def files(made: Contents, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(made, tmp_path_factory.mktemp("pages"))


@pytest.fixture
def visit(browser: Browser, files: Pages) -> Iterator[Open]:
    """Opens the page of a content. Whatever a test does there, the page logs nothing and asks for nothing."""
    contexts, visits = [], []

    def open_page(name: str = "usual", **options: Any) -> Visit:
        contexts.append(browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce"} | options))
        visits.append(Visit(contexts[-1], files[name]))
        return visits[-1]

    yield open_page
    for context in contexts:
        context.close()
    assert [line for one in visits for line in one.logged] == []
    assert [url for one in visits for url in one.asked] == []
