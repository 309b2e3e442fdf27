"""`featstore cache ls` and `prune`"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featstore.cli import options
from featstore.cli.console import note, one_by_one, print_json, print_table
from featstore.cli.units import moment, parse_age, parse_bytes_with_unit
from featstore.errors import UsageError
from featstore.images.probe import describe_probe
from featstore.system.figures import megabytes
from featstore.system.text import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featstore.store.keys import KeyInfo

_HEADER = ["key", "model", "variant", "size", "layer", "pool", "dtype", "rows", "shards", "MB", "last used"]


def list_keys(cache: options.Cache = None, json: options.Json = False, quiet: options.QuietNames = False) -> None:
    """List the keys of the cache, a line for each.

    Example: featstore cache ls
    """
    from featstore.extraction.cache import Cache

    keys = Cache(cache).keys()
    if json:
        print_json({"keys": [_as_json(key) for key in keys], "bytes": sum(key.bytes for key in keys)})
        return
    for key in keys:
        if key.problem:
            note(key.problem if key.spec is None else f"{key.problem}; `featstore cache verify` says which")
    if quiet:
        for key in keys:
            print(key.key)
        return
    print_table(_HEADER, [_as_row(key) for key in keys])
    rows = sum(key.rows or 0 for key in keys)
    print(f"{count(len(keys), 'key')}, {count(rows, 'row')}, {megabytes(sum(key.bytes for key in keys))} MB")


def prune(
    older_than: Annotated[
        float | None,
        typer.Option(
            parser=parse_age, metavar="AGE", help="Keys that were not used for this long, as in 12h, 30d or 8w."
        ),
    ] = None,
    max_size: Annotated[
        int | None,
        typer.Option(
            parser=parse_bytes_with_unit,
            metavar="SIZE",
            help="The longest unused keys, until the cache is no larger than this, as in 20G. Adds to --older-than.",
        ),
    ] = None,
    keys: options.Keys = [],
    yes: Annotated[bool, typer.Option("--yes", help="Remove them. Without it they are only listed.")] = False,
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List the keys to remove, and remove them with --yes.

    Example: featstore cache prune --older-than 30d --max-size 20G
    """
    from featstore.extraction.cache import Cache
    from featstore.store.keys import key_folders
    from featstore.store.pruning import choose_keys, prune_key

    if older_than is None and max_size is None and not keys:
        raise UsageError("expected a choice of keys: give --older-than 30d, --max-size 20G or --key KEY")
    named = set(key_folders(Cache(cache).folder, keys)) if keys else None
    since = None if older_than is None else time.time() - older_than
    keys_now = Cache(cache).keys()
    chosen = choose_keys(keys_now, named, since, max_size)
    left: list[str] = []
    failed: list[str] = []
    if yes:
        names, failed = one_by_one([key.folder for key in chosen], prune_key)
        left = [name for some in names for name in some]
        chosen = [
            key for key in chosen if not any(text.startswith((f"{key.folder}:", f"{key.folder}/")) for text in failed)
        ]
    if json:
        freed = sum(key.bytes for key in chosen)
        print_json({"keys": [_as_json(key) for key in chosen], "removed": yes, "bytes": freed, "failed": failed})
    elif not quiet:
        _print_pruned(chosen, [key for key in keys_now if key not in chosen], yes)
    for text in [*failed, *(f"not removed, since featstore did not write it: {name}" for name in left)]:
        note(text)
    if failed:
        raise typer.Exit(1)


def _print_pruned(chosen: Sequence[KeyInfo], left: Sequence[KeyInfo], done: bool) -> None:
    stays = f"{count(len(left), 'key')}, {megabytes(sum(key.bytes for key in left))} MB"
    if not chosen:
        print(f"nothing to remove: {stays}")
        return
    print_table(_HEADER, [_as_row(key) for key in chosen])
    goes = f"{count(len(chosen), 'key')}, {megabytes(sum(key.bytes for key in chosen))} MB"
    print(f"removed {goes}; left {stays}" if done else f"would remove {goes} and leave {stays}; --yes does it")


def _as_row(key: KeyInfo) -> list[str]:
    size = megabytes(key.bytes)
    variant = key.folder.name.rsplit("-", 2)[0]
    if key.spec is None:
        return [key.key[:12], key.folder.parent.name, variant, *["-"] * 5, str(key.shards), size, moment(key.last_used)]
    spec = key.spec
    reading = spec.get("reading", {})
    image = "x".join(map(str, reading.get("size", [])))
    if "probe" in reading:
        image += f" {describe_probe(reading['probe'])}"
    what = [*(str(spec.get(name)) for name in ("layer", "pool", "dtype")), f"{key.rows}", str(key.shards), size]
    return [key.key[:12], key.folder.parent.name, variant, image, *what, moment(key.last_used)]


def _as_json(key: KeyInfo) -> dict[str, Any]:
    used = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(key.last_used))
    return {
        "key": key.key,
        "path": str(key.folder),
        "spec": key.spec,
        "rows": key.rows,
        "shards": key.shards,
        "bytes": key.bytes,
        "last_used": used,
        "problem": key.problem,
    }
