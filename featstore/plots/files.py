"""Pictures as files: PNG, PDF or SVG, as the ending of the name says."""

from __future__ import annotations

import io
import os
from typing import Any, Literal, get_args

from featstore.errors import UsageError, param
from featstore.plots.style import DPI

Kind = Literal["png", "pdf", "svg"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def kind_of(path: str | os.PathLike[str], option: str, kinds: tuple[Kind, ...] = KINDS) -> Kind:
    """Return the kind of picture that the ending of `path`, the value of `option`, asks for; raises UsageError.

    Call it before the work whose result is drawn.
    """
    ending = os.path.splitext(path)[1].lower()
    for kind in kinds:
        if ending == f".{kind}":
            return kind
    known = ", ".join(f".{kind}" for kind in kinds[:-1])
    raise UsageError(f"{param(option, str(path))}: expected a name that ends in {known} or .{kinds[-1]}")


def render(figure: Any, kind: Kind = "png") -> bytes:
    """Return the matplotlib `figure` as a file. The same figure gives the same bytes: no date, fixed ids."""
    from matplotlib import rc_context

    image = io.BytesIO()
    dateless = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with rc_context({"svg.hashsalt": "featstore", "pdf.fonttype": 42}):
        figure.savefig(image, format=kind, dpi=DPI, metadata=dateless)
    return image.getvalue()
