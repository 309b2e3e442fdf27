"""The report in a browser that all tests of a process share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from featstore.explanation.result import Explanation
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


def explained_content() -> Made:
    """Heat maps for the images that have a tile of one."""
    made = make_content()
    heat = np.zeros((7, 7), np.float32)
    explanations = {
        image.path: Explanation(
            path=image.path,
            label=image.answer,
            probability=image.probability,
            answer=image.answer,
            method="cam",
            heat=heat,
        )
        for image in made.content.images
        if image.path in made.thumbnails.heat.places
    }
    return Made(replace(made.content, explanations=explanations), made.thumbnails)


CONTENTS: dict[str, Callable[[], Made]] = {
    "usual": lambda: make_content(n=60),
    "hostile": hostile_content,
    "non-latin": lambda: make_content(NON_LATIN, 105),
    "many": lambda: make_content(MANY, 600),
    "explained": explained_content,
    "bare": bare_content,
}


@pytest.fixture(scope="session")
def made() -> dict[str, Made]:
    return {name: make() for name, make in CONTENTS.items()}


@pytest.fixture(scope="session")
def files(made: dict[str, Made], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of each content."""
    folder = tmp_path_factory.mktemp("pages")
    paths = {}
    for name, (content, thumbnails) in ((name, (one.content, one.thumbnails)) for name, one in made.items()):
        paths[name] = folder / f"{name}.html"
        paths[name].write_text(render(content, thumbnails), encoding="utf-8")
    return paths


@pytest.fixture
def visit(browser: Browser, files: dict[str, Path]) -> Iterator[Open]:
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
