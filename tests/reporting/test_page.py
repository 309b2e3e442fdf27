"""The page is one file that loads nothing, shows every part, and takes no name for anything but a name."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from featstore.reporting.page import render
from helpers.paths import ROOT
from helpers.report_content import FIVE, HOSTILE, MANY, NON_LATIN, Made, bare_content, make_content


class Page(HTMLParser):
    """The elements of a page, its text, and its scripts."""

    VOID = frozenset({"meta", "input", "link", "img", "br", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.elements, self.open, self.text = html, [], [], ""  # type: ignore[var-annotated]
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]][-1] += data
        else:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def json(self, place: int) -> Any:
        return json.loads(self.raw["script"][place])


def page_of(made: Made) -> Page:
    return Page(render(made.content, made.thumbnails))


@pytest.fixture(scope="module")
def page() -> Page:
    return page_of(make_content(n=80))


def test_every_section_is_there_and_in_the_contents(page: Page) -> None:
    sections = [attributes["id"] for attributes in page.of("section")]
    assert sections == [
        "summary", "data", "audit", "runs", "training", "confusion", "certainty", "photos", "images", "map", "origin",
    ]  # fmt: skip
    links = [attributes["href"] for attributes in page.of("a")]
    assert all(f"#{section}" in links for section in sections)
    assert page.open == []


def test_ids_are_unique_and_references_lead_somewhere(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = [
        name
        for _, attributes in page.elements
        for key in ("aria-labelledby", "aria-describedby")
        for name in str(attributes.get(key) or "").split()
    ]
    assert wanted
    assert {*wanted} <= {*ids}


@pytest.mark.parametrize("classes", [HOSTILE, NON_LATIN])
def test_nothing_is_loaded_and_nothing_runs_but_the_page_s_own_script(classes: tuple[str, ...]) -> None:
    page = page_of(make_content(classes, 60, title="</title><script>alert(0)</script>"))
    (policy,) = (m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))
    assert rules["default-src"] == "'none'"
    for kind in ("script", "style"):
        hashes = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in page.raw[kind]]
        assert rules[f"{kind}-src"] == hashes[-1]
    assert [script.get("type") for script in page.of("script")] == ["application/json", "application/json", None]
    assert not page.of("img")
    assert not page.of("link")
    for _, attributes in page.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        assert not re.match(r"https?:|//", attributes.get("src") or attributes.get("href") or "")


def test_hostile_names_are_shown_as_they_are() -> None:
    page = page_of(make_content(HOSTILE, 60))
    for name in HOSTILE[:5]:
        assert name in page.text
    assert "a\\u2028b\\u202egnp.exe" in page.text  # what cannot be seen, or turns the text round, is written out
    assert page.json(0)["classes"][:5] == list(HOSTILE[:5])
    assert "\u202e" not in page.html


def test_a_file_name_that_is_no_text_can_be_written() -> None:
    page = page_of(make_content(n=20, names="{label}/\udcff{number}.jpg"))
    assert "\\udcff0.jpg" in page.html.encode().decode()


def test_figures_are_those_of_json(page: Page) -> None:
    made = make_content(n=80)
    assert page.json(1) == json.loads(json.dumps(made.content.describe()))


def test_the_script_knows_every_image_and_shows_texts_of_featstore(page: Page) -> None:
    made, data = make_content(n=80), page.json(0)
    assert {len(data[name]) for name in ("path", "label", "answer", "split", "probability", "x", "y")} == {80}
    assert [data["classes"][label] for label in data["label"]] == [image.label for image in made.content.images]
    assert all(isinstance(text, str) for text in data["probability"])
    for kind, sprite in zip(("small", "large", "heat"), made.thumbnails[:3], strict=True):
        assert data["tiles"][kind]["columns"] == sprite.columns
        assert [p for p in data["tiles"][kind]["places"] if p >= 0] == list(sprite.places.values())


def test_cells_of_the_confusion_matrix_are_buttons_with_counts() -> None:
    made = make_content(FIVE, 100, skill=0.5)
    page, (counts,) = page_of(made), [made.content.runs[0].metrics["test"].confusion]
    cells = [b for b in page.of("button") if b["class"] == "cell"]
    assert counts is not None
    found = {(int(str(b["data-label"])), int(str(b["data-answer"]))): str(b["aria-label"]) for b in cells}
    assert {place: int(text.rpartition(": ")[2]) for place, text in found.items()} == {
        (i, j): n for i, row in enumerate(counts) for j, n in enumerate(row) if n
    }


def test_a_hundred_classes_have_pairs_in_place_of_a_matrix() -> None:
    page = page_of(make_content(MANY, 600, skill=2))
    buttons = [b for b in page.of("button") if "cell" in str(b["class"])]
    assert buttons
    assert not page.of("table")[0].get("id")
    assert len(page.html) < 2_000_000


def test_a_page_without_all_that_may_be_missing_says_so() -> None:
    page = page_of(bare_content())
    assert len(page.of("section")) == 10  # there is none on the training, where no course was recorded
    assert "Not audited" in page.text
    assert "image/webp" not in page.html
    assert page.json(0)["tiles"] == {}


def test_a_sample_has_no_shares_of_answers() -> None:
    """It has more of the wrong answers, so they would be too low."""
    made = make_content(n=40)
    sampled = replace(made.content, total=41)
    assert "right one among them" in page_of(made).text
    assert "right one among them" not in render(sampled, made.thumbnails)


def test_known_leaks_are_an_alarm_without_an_audit_too() -> None:
    made = bare_content()
    data = replace(made.content.data, leaks=("1 image is in train and in test",))
    assert "Do not believe the figures yet" in render(replace(made.content, data=data), None)


def test_an_accuracy_that_is_too_good_says_so() -> None:
    made = make_content(n=40)
    run = made.content.runs[0]
    metrics = {"val": replace(run.metrics["val"], used_for="choosing")}
    html = render(replace(made.content, runs=(replace(run, metrics=metrics),)), made.thumbnails)
    assert "too good: these images also chose the head" in html


def test_what_was_found_comes_with_its_images_and_advice(page: Page) -> None:
    assert "Do not believe the figures yet" in page.text
    assert "featstore audit drawn --fix-split fixed.csv" in page.text
    named = [attributes.get("aria-label") for tag, attributes in page.elements if tag == "span"]
    assert named.count("/data/cats/0000.jpg") + named.count("cats/0000.jpg") >= 1


def test_the_wheel_has_templates_styles_and_script() -> None:
    builder = WheelBuilder(str(ROOT))
    found = {file.distribution_path for file in builder.recurse_included_files()}
    folder = files("featstore.reporting") / "templates"
    wanted = {"page.html", "page.css", "page.js", "macros.html", "cards.html", "sections/map.html"}
    assert all((folder / name).is_file() for name in wanted)
    assert {f"featstore/reporting/templates/{name}" for name in wanted} <= found
