"""The table of heads, and parsing their parameters from text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from featstore.errors import UsageError
from featstore.system.fields import field_types

if TYPE_CHECKING:
    from featstore.extraction.recipe import Recipe
    from featstore.heads.interface import Head
    from featstore.spec import Pool

HeadName = Literal["logistic", "bn-dropout", "vgg-fc", "scratch-cnn"]


class HeadEntry(NamedTuple):
    """One head of the table.

    module, attribute: where its class is defined.
    summary: a short description.
    base: the only base that it works with; None for any.
    pool: the pooling that it is designed for; None for any.
    stops_on_val: whether the validation split decides when its training stops.
    """

    module: str
    attribute: str
    summary: str
    base: str | None = None
    pool: Pool | None = None
    stops_on_val: bool = True

    def with_preferred_pool(self, recipe: Recipe) -> Recipe:
        """Return `recipe` with the pooling that this head is designed for, unless the user has given one."""
        return replace(recipe, pool=self.pool) if self.pool and recipe.pool is None else recipe


HEADS: dict[HeadName, HeadEntry] = {
    "logistic": HeadEntry(
        "featstore.heads.logistic", "LogisticHead", "scikit-learn, scaled, C by cross-validation", stops_on_val=False
    ),
    "bn-dropout": HeadEntry(
        "featstore.heads.bn_dropout", "BnDropoutHead", "Keras, two dense layers with BN and dropout"
    ),
    "vgg-fc": HeadEntry(
        "featstore.heads.vgg_fc", "VggFcHead", "Keras, dense 256 on the whole map, as on VGG16", pool="none"
    ),
    "scratch-cnn": HeadEntry(
        "featstore.heads.scratch_cnn", "ScratchCnnHead", "Keras, a small CNN on the pixels themselves", base="pixels"
    ),
}


def make_head(name: str, parameters: Mapping[str, Any] | None = None) -> Head:
    """Return the untrained head `name`; text is parsed as the type of the parameter.

    Raises UsageError for an unknown head or parameter, and for a wrong value.
    """
    if name not in HEADS:
        raise UsageError(f"head {name!r} is not known: use one of {', '.join(HEADS)}")
    entry = HEADS[name]
    kind = getattr(import_module(entry.module), entry.attribute)
    hints = field_types(kind)
    types = {field.name: hints[field.name] for field in fields(kind) if field.init}
    unknown = [key for key in parameters or {} if key not in types]
    if unknown:
        raise UsageError(f"head {name} has no parameter {unknown[0]!r}: it takes {', '.join(types)}")
    try:
        head: Head = kind(**{key: _parse(value, types[key]) for key, value in (parameters or {}).items()})
    except (ValueError, TypeError) as error:
        raise UsageError(f"head {name}: {error}") from error
    return head


def _parse(value: Any, kind: Any) -> Any:
    """Return a parameter that was given as text as its type: a number, or None where `none` may stand for it."""
    kinds = get_args(kind) or (kind,)
    if not isinstance(value, str) or str in kinds:
        return value
    if value == "none" and type(None) in kinds:
        return None
    return int(value) if int in kinds else float(value)
