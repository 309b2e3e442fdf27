"""`featstore cache explain`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from featstore.cli import options
from featstore.cli.console import list_skipped, note, print_json
from featstore.cli.fields import Fields, takes_fields
from featstore.datasets.options import DataOptions
from featstore.extraction.recipe import GridOptions, Recipe
from featstore.system.progress import displayed
from featstore.system.text import count, safe

if TYPE_CHECKING:
    from featstore.extraction.misses import CacheLookup

MOST_LINES = 20
_WHY = {"changed": "changed", "views": "some views", "known": "read before, has no row here", "new": "new"}


@takes_fields
def command(
    data: options.Data,
    recipe: Annotated[GridOptions, Fields(Recipe, repeatable=["preprocess"])],
    data_options: Annotated[DataOptions, Fields(DataOptions)],
    cache: options.Cache = None,
    rehash: options.Rehash = False,
    json: options.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only hit or miss for each set of features.")] = False,
) -> None:
    """Say whether features are in the cache. If not, name the nearest key, or the images that are new or changed.

    Takes the options of `featstore extract` and computes nothing. The exit code is 0 for hits and misses.

    Example: featstore cache explain photos --model MobileNetV2 --size 192
    """
    from featstore.datasets.sources import scan
    from featstore.extraction.misses import explain
    from featstore.extraction.recipe_grid import make_recipes

    with displayed(not quiet) as progress:
        explanation = explain(
            scan(data, data_options, cache),
            make_recipes(**recipe),
            options.chosen_cache(cache, rehash),
            progress.steps("reading", "images"),
        )
    skipped, notes = explanation.manifest.skipped, explanation.notes
    if json:
        features = [lookup.describe() for lookup in explanation.features]
        print_json({"features": features, "skipped": [item._asdict() for item in skipped], "notes": list(notes)})
        return
    list_skipped(skipped)
    for text in notes:
        note(text)
    if quiet:
        for lookup in explanation.features:
            print("hit" if lookup.hit else "miss")
    else:
        partial = sum(lookup.key_is_stored and not lookup.hit for lookup in explanation.features)
        for lookup in explanation.features:
            _print(lookup, MOST_LINES // max(partial, 1) or 1)


def _print(lookup: CacheLookup, most: int) -> None:
    """Print a line for the features, one for damage, then the nearest key, or up to `most` images without rows."""
    images = f"{lookup.images - len(lookup.missing)} of {lookup.images} images"
    print(safe(f"{'hit ' if lookup.hit else 'miss'}  {_title(lookup)}: {images} in {lookup.folder}"))
    if lookup.damaged:
        damaged = count(len(lookup.damaged), "shard")
        print(f"      damaged: {damaged} of the key; repair it with `featstore cache repair`")
    near = lookup.nearest
    if near:
        print(safe(f"      nearest: {', '.join(near.differences)}; {near.images} of the images in {near.folder}"))
    elif not (lookup.hit or lookup.key_is_stored):
        print("      the cache holds no features at all")
    elif lookup.key_is_stored:
        shown = sorted(lookup.missing, key=lambda item: list(_WHY).index(item.why))[:most]
        for item in shown:
            print(safe(f"      {_WHY[item.why]}: {item.path}"))
        if len(lookup.missing) > most:
            print(f"      ... and {len(lookup.missing) - most} more (all of them with --json)")


def _title(lookup: CacheLookup) -> str:
    reading, recipe = lookup.spec.reading, lookup.recipe
    model = recipe.model if recipe.alpha is None else f"{recipe.model} {recipe.alpha:g}"
    size = str(reading.height) if reading.height == reading.width else f"{reading.height}x{reading.width}"
    views = [] if recipe.views == "one" else ["augmented" if reading.augmentation else recipe.views]
    return ", ".join([model, recipe.preprocess, f"{size} px", *views])
