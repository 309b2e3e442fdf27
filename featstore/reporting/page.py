"""The page: one HTML file that needs nothing else. It loads nothing, and runs no script but its own."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from featstore.reporting.content import Content
from featstore.reporting.escaping import capital, legible, prose, script_json, source_hash

if TYPE_CHECKING:
    from featstore.reporting.thumbnails import Thumbnails

_SECTIONS = (  # each has a template of its name
    ("summary", "Summary"),
    ("data", "Data"),
    ("audit", "Audit"),
    ("runs", "Runs"),
    ("training", "Training"),
    ("confusion", "Confusion"),
    ("certainty", "Certainty"),
    ("photos", "More photos"),
    ("images", "Images to look at"),
    ("map", "Map"),
    ("origin", "Where it comes from"),
)


def render(content: Content, thumbnails: Thumbnails | None = None) -> str:
    """Return the page as HTML. Without `thumbnails` it has no images, and shows their names instead."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from featstore.reporting.data import classes_of, page_data
    from featstore.reporting.tiles import tile_styles
    from featstore.reporting.view import MOST_FINDINGS, MOST_PARTNERS, View
    from featstore.system.figures import figure

    shown = thumbnails if content.with_images else None
    environment = Environment(
        loader=PackageLoader("featstore.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_legible,
    )
    environment.filters.update(figure=figure, prose=prose, capital=capital)
    classes = classes_of(content)
    style, script = _read("page.css") + tile_styles(shown), _read("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {source_hash(style)}; script-src {source_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    view = View(content, shown, classes)
    environment.globals.update(
        macros=environment.get_template("macros.html").module,
        cards=environment.get_template("cards.html").module,
        most_findings=MOST_FINDINGS,
        most_partners=MOST_PARTNERS,
    )
    return environment.get_template("page.html").render(
        # few heads are trained in epochs: without a course there is nothing to say of the training
        sections=[section for section in _SECTIONS if section[0] != "training" or view.courses],
        content=content,
        view=view,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        data=Markup(script_json(page_data(content, shown, classes))),
        figures=Markup(script_json(content.describe())),
    )


def _read(name: str) -> str:
    return (files("featstore.reporting") / "templates" / name).read_text(encoding="utf-8")


def _legible(value: Any) -> Any:
    """Return what a template shows: text that is not HTML yet, without what cannot be seen."""
    return legible(value) if type(value) is str else value
