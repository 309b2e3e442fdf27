"""The page can be read: all of it is there, on a phone, on paper, in both themes, and with a screen reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from helpers.browser import PHONE, Visit

Open = Callable[..., Visit]
SECTIONS = [
    *("summary", "data", "audit", "runs", "training", "confusion", "certainty", "photos", "images", "map", "origin")
]


@pytest.mark.parametrize("name", ["usual", "bare"])
def test_every_section_is_there(visit: Open, name: str) -> None:
    """With a heading and a text below it, also where nothing is known; the links of the page lead to it."""
    seen = visit(name)
    found = seen.page.locator("main > section").evaluate_all("all => all.map((one) => one.id)")
    sections = [section for section in SECTIONS if section != "training" or name != "bare"]  # no course is known there
    assert found == sections
    assert seen.page.locator("nav a").evaluate_all("all => all.map((one) => one.hash)") == [f"#{s}" for s in sections]
    for section in sections:
        words = seen.text(f"#{section}").split()
        assert len(words) > len(seen.text(f"#{section} h2").split()) + 3, section


def test_the_verdict_is_seen_first(visit: Open) -> None:
    """Whether the figures may be believed stands above the accuracy, on a phone too."""
    for size in ({"width": 1200, "height": 900}, PHONE):
        page = visit(viewport=size).page
        verdict, facts = (page.locator(one).bounding_box() for one in (".verdict", ".facts"))
        assert verdict and facts
        assert verdict["y"] + verdict["height"] <= facts["y"] < size["height"]


@pytest.mark.parametrize("name", ["hostile", "non-latin", "many", "bare"])
def test_a_phone_scrolls_downwards_only(visit: Open, name: str) -> None:
    """Wide tables scroll in themselves; also with all details open and a list shown."""
    page = visit(name, viewport=PHONE).page
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    page.click("#filter button[type=submit]")
    width = "document.scrollingElement.scrollWidth"
    assert page.evaluate(width) == PHONE["width"]
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate(width) == 320


@pytest.mark.parametrize(
    ("look", "rules"),
    [
        ({"color_scheme": "light"}, {}),
        ({"color_scheme": "dark"}, {"runOnly": ["color-contrast"]}),
        ({"viewport": PHONE}, {"runOnly": ["scrollable-region-focusable"]}),  # all else is as on a desktop
    ],
)
def test_axe_finds_nothing(visit: Open, look: dict[str, Any], rules: dict[str, Any]) -> None:
    """Contrast, names of controls, order of headings, tables and landmarks, with lists and details open."""
    seen = visit("small", **look)
    seen.page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    seen.page.locator("#matrix .cell").first.click()
    seen.page.check("#filter-wrong")
    seen.page.click("#filter button[type=submit]")
    assert seen.faults(**rules) == []


def test_the_theme_is_that_of_the_system_until_it_is_chosen(visit: Open) -> None:
    page = visit(color_scheme="dark").page
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    themes = {}
    for _ in range(3):
        page.click("#theme")
        themes[page.evaluate("document.documentElement.dataset.theme ?? 'system'")] = page.evaluate(colour)
    assert themes == {"light": "rgb(255, 255, 255)", "dark": dark, "system": dark}
    assert dark != "rgb(255, 255, 255)"


def test_the_map_is_drawn_in_the_colours_of_the_theme(visit: Open) -> None:
    """The canvas is drawn again."""
    page = visit(color_scheme="light").page
    drawn = "document.getElementById('map-canvas').toDataURL()"
    light = page.evaluate(drawn)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => {drawn} !== before", arg=light)


def test_paper_shows_all(visit: Open) -> None:
    """Details are open, on white, without what cannot be used there; afterwards the page is as it was."""
    page = visit(color_scheme="dark").page
    shut = page.locator("details:not([open])").count()
    assert shut
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in ("nav", "#theme", "#filter", ".control"):
        assert not page.locator(hidden).first.is_visible()
    for shown in ("#matrix", "#wrong .card", "#map-canvas", ".chart", "details table"):
        assert page.locator(shown).first.is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator("details:not([open])").count() == shut
    assert page.evaluate("document.documentElement.dataset.theme") is None


def test_it_can_be_read_without_a_script(visit: Open) -> None:
    """As in a viewer of mail; what needs the script to do anything is not shown."""
    seen = visit(java_script_enabled=False)
    for section in SECTIONS:
        assert seen.page.locator(f"section#{section}").is_visible()
    assert seen.page.locator("#wrong .card").first.is_visible()
    assert not seen.page.locator("#theme").is_visible()


def test_every_thumbnail_has_its_pixels(visit: Open) -> None:
    """Each tile has a background from a sprite that the browser can decode."""
    page = visit().page
    backgrounds = page.locator("#wrong .tile, #unsure .tile, #audit .tile").evaluate_all(
        "all => [...new Set(all.map((one) => getComputedStyle(one).backgroundImage))]"
    )
    assert backgrounds
    for background in backgrounds:
        assert background.startswith('url("data:image/webp;base64,')
        width = page.evaluate(
            "async (url) => { const image = new Image(); image.src = url; await image.decode(); return image.width; }",
            background.removeprefix('url("').removesuffix('")'),
        )
        assert width > 0
