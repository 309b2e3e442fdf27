"""The variants that a check measures, and the recipes that measure them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from featstore.errors import UsageError
from featstore.extraction.recipe import Recipe
from featstore.images.preprocessing import NAMED, canonical_map, parse_variant
from featstore.images.reading import parse_size
from featstore.images.views import CANVAS

OWN = "keras"


@dataclass(frozen=True)
class Variants:
    """The variants of a check.

    A variant can only be right in comparison with what the base was trained with. So that one is always measured.

    Attributes:
        measured: All that are measured.
        asked: Those that the user asked for.
        own: The one of `measured` that the base was trained with; None where that is not known.
        own_name: Its name among the named maps, such as `tf`.
    """

    measured: tuple[str, ...]
    asked: tuple[str, ...]
    own: str | None = None
    own_name: str | None = None

    @property
    def added(self) -> bool:
        """Whether the base's own variant is measured although the user did not ask for it."""
        return self.own is not None and self.own not in self.asked

    def describe(self, variant: str) -> str:
        """Return a variant in backticks, with what it is for this base if it is the base's own."""
        if variant != self.own or self.own_name in (None, variant):
            return f"`{variant}`"
        return f"`{variant}` (for this base `{self.own_name}`)"


def choose_variants(recipe: Recipe, asked: Sequence[str]) -> Variants:
    """Return the variants to measure for the base of `recipe`; all of them, if none is `asked` for."""
    info = recipe.source().info
    names = tuple(dict.fromkeys(asked or all_variants(recipe)))
    if info is None:
        return Variants(names, names)
    own_map = canonical_map(NAMED[info.preprocessing])
    own = next((n for n in names if canonical_map(parse_variant(n, info.preprocessing)[1]) == own_map), None)
    measured = names if own else (OWN, *names)
    return Variants(measured, names, own or OWN, info.preprocessing)


def all_variants(recipe: Recipe) -> list[str]:
    """Return `keras`, where the base has a variant of its own, and all named variants that are other maps.

    A base that takes bytes cannot be given any but `raw`.
    """
    source = recipe.source()
    if source.takes_bytes:
        return ["raw"]
    info = source.info
    own = NAMED[info.preprocessing] if info else None
    return [*([OWN] if info else []), *(name for name, map_ in NAMED.items() if map_ != own)]


def with_classifier(recipe: Recipe, variant: str, views: str) -> Recipe:
    """Return `recipe` with the classifier of its base, which a user's file may end in.

    Probabilities are float32, since small ones count too. The view `one` is a crop like all others, so that numbers of
    views can be compared.
    """
    resize = recipe.resize
    if views == "one" and resize is None:
        height, width = recipe.source().default_size() if recipe.size is None else parse_size(str(recipe.size))
        resize = f"{round(height / CANVAS)}x{round(width / CANVAS)}"
    classified = replace(recipe, preprocess=variant, views=views, resize=resize, scales=None, dtype="float32")
    return replace(classified, pool="none") if recipe.source().is_file else replace(classified, top=True, pool=None)


def has_classifier(recipe: Recipe) -> bool:
    """Return whether the weights of `recipe` hold an ImageNet classifier, without building the network."""
    try:
        source = replace(recipe, top=True).source()
    except UsageError:
        return False
    if source.is_file or source.weights in ("imagenet", "random"):
        return not source.is_file
    from featstore.bases.weights_file import holds_classifier

    return holds_classifier(source.weights)


def quote_names(variants: Sequence[str]) -> str:
    """Return the names in backticks, as `keras`, `raw`."""
    return ", ".join(f"`{name}`" for name in variants)
