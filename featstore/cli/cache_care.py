"""`featstore cache verify`, `repair` and `compact`"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from featstore.cli import options
from featstore.cli.console import note, one_by_one, print_json, print_table
from featstore.cli.units import parse_share
from featstore.errors import UsageError
from featstore.objects.urls import Location, Url
from featstore.system.figures import megabytes
from featstore.system.progress import displayed
from featstore.system.text import count, safe

if TYPE_CHECKING:
    from featstore.store.compaction import Compacted
    from featstore.store.repair import Repaired

MOST_IMAGES = 20
_Yes = Annotated[
    bool,
    typer.Option(
        "--yes",
        help="Needed on object storage: it says that no other program writes there now. Not all can be seen.",
    ),
]


def verify(
    subset: Annotated[
        float | None,
        typer.Option(
            "--subset",
            parser=parse_share,
            metavar="SHARE",
            help="Share of the shards to read, chosen at random, as in 10%. Default: all.",
        ),
    ] = None,
    keys: options.Keys = [],
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Read the cache and compare every file with its digest, its key and the index. Exit with 1 if there is a fault.

    Example: featstore cache verify --subset 10%
    """
    from featstore.store.verify import verify_key

    share = 1.0 if subset is None else subset
    with _each_shard("verifying", cache, keys, quiet) as (folders, on_shard):
        found = [verify_key(folder, share, on_shard) for folder in folders]
    faults = [fault for findings in found for fault in findings.faults]
    notes = [f"{findings.folder}: {text}" for findings in found for text in findings.notes]
    totals = {
        "keys": len(found),
        "shards": sum(f.shards for f in found),
        "checked": sum(f.checked for f in found),
        "rows": sum(f.rows for f in found),
        "bytes": sum(f.bytes for f in found),
    }
    if json:
        listed = [{"path": str(fault.path), "reason": fault.reason} for fault in faults]
        print_json({**totals, "faults": listed, "lost": sum(len(f.lost) for f in found), "notes": notes})
    else:
        for fault in faults:
            print(safe(f"{fault.path}: {fault.reason}"))
        if not quiet:
            for text in notes:
                note(text)
            read = f"{totals['checked']} of {count(totals['shards'], 'shard')} of {count(len(found), 'key')} read"
            amount = f"{count(totals['rows'], 'row')}, {megabytes(totals['bytes'])} MB"
            print(f"{read}, {amount}: {count(len(faults), 'fault') if faults else 'all right'}")
    if faults:
        if not (json or quiet):
            note("`featstore cache repair` quarantines damaged shards; the next extract recomputes their rows")
        raise typer.Exit(1)


def repair(
    keys: options.Keys = [],
    yes: _Yes = False,
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Quarantine damaged shards, remove leftovers, and rebuild indexes. List the images to extract again.

    Example: featstore cache repair
    """
    from featstore.extraction.cache import DERIVED, Cache
    from featstore.store.disk_folder import clear_leftovers
    from featstore.store.repair import repair_key
    from featstore.store.rowid import content_digest

    _ask_for_yes(cache, yes)
    with _each_shard("repairing", cache, keys, quiet) as (folders, on_shard):
        done, failed = one_by_one(folders, lambda folder: repair_key(folder, on_shard))
    opened = Cache(cache)
    digests = opened.digests
    cleared = sum(clear_leftovers(opened.local / name) for name in DERIVED)
    cleared += sum(repaired.cleared for repaired in done)
    lost = {content_digest(row) for repaired in done for row in repaired.findings.lost}
    paths = digests.paths(lost)
    images = sorted(paths.get(digest, f"sha256:{digest}") for digest in lost)
    unmended = [text for repaired in done for text in repaired.unmended] + failed
    if json:
        print_json({"keys": [_repaired_as_json(r) for r in done], "images": images, "unmended": unmended})
    else:
        _print_repaired(done, images, cleared, quiet)
        for text in unmended:
            note(text)
    if unmended:
        raise typer.Exit(1)


def compact(
    compress: Annotated[
        Literal["zstd", "none"] | None,
        typer.Option(
            help="zstd (smaller, slower to read, needs hdf5plugin) or none, for all shards. Default: as they are.",
            show_default=False,
        ),
    ] = None,
    keys: options.Keys = [],
    yes: _Yes = False,
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Merge small shards into larger ones, and compress them if asked. Other processes may read meanwhile.

    Example: featstore cache compact
    """
    from featstore.store.compaction import compact_key

    _ask_for_yes(cache, yes)
    with _each_shard("compacting", cache, keys, quiet) as (folders, on_shard):
        done, failed = one_by_one(folders, lambda folder: compact_key(folder, compress, on_shard))
    if json:
        print_json({"keys": [_compacted_as_json(item) for item in done], "failed": failed})
    elif not quiet:
        _print_compacted(done)
    for text in failed:
        note(text)
    if failed:
        raise typer.Exit(1)


def _ask_for_yes(cache: Location | None, yes: bool) -> None:
    """Raise UsageError if shards are to be removed where other machines may be at work unseen."""
    from featstore.extraction.cache import Cache

    folder = Cache(cache).folder
    if isinstance(folder, Url) and not yes:
        raise UsageError(f"{folder}: programs that write there cannot all be seen from here: give --yes if none does")


@contextmanager
def _each_shard(
    title: str, cache: Location | None, keys: Sequence[str], quiet: bool
) -> Iterator[tuple[list[Location], Callable[[], None]]]:
    """Yield the folders of the keys, and a function to call for each of their shards, which moves a bar."""
    from featstore.extraction.cache import Cache
    from featstore.store.folders import as_folder
    from featstore.store.keys import key_folders

    folders = key_folders(Cache(cache).folder, keys)
    total, done = sum(len(as_folder(folder).shards()) for folder in folders), 0
    with displayed(not quiet) as progress:
        on_step = progress.steps(title, "shards")

        def on_shard() -> None:
            nonlocal done
            done += 1
            on_step(done, max(done, total))

        yield folders, on_shard


def _repaired_as_json(repaired: Repaired) -> dict[str, Any]:
    findings = repaired.findings
    return {
        "path": str(findings.folder),
        "faults": [{"path": str(fault.path), "reason": fault.reason} for fault in findings.faults],
        "quarantined": list(repaired.quarantined),
        "cleared": repaired.cleared,
        "restored": repaired.restored,
        "rows": findings.rows,
        "lost": len(findings.lost),
        "unknown": findings.unknown,
    }


def _print_repaired(done: Sequence[Repaired], images: Sequence[str], cleared: int, quiet: bool) -> None:
    for repaired in done:
        findings = repaired.findings
        for fault in findings.faults:
            print(safe(f"{fault.path}: {fault.reason}"))
        if repaired.quarantined:
            print(safe(f"{count(len(repaired.quarantined), 'file')} moved to {findings.folder / 'quarantine'}"))
        if repaired.restored:
            print(safe(f"{findings.folder / 'spec.json'}: made again from a shard"))
        if repaired.canary_lost:
            print("  its canary is lost: the next extraction that adds rows makes another, without a comparison")
        if findings.unknown:
            held = "the images of their rows are not known, and may have been extracted again since"
            print(f"{findings.unknown} of them were not in the index: {held}")
    for image in images[:MOST_IMAGES]:
        print(safe(f"to be extracted again: {image}"))
    if len(images) > MOST_IMAGES:
        print(f"... and {len(images) - MOST_IMAGES} more (all of them with --json)")
    if done and not quiet:
        rows = sum(repaired.findings.rows for repaired in done)
        right = f"{count(len(done), 'key')}: {count(rows, 'row')} right"
        print(f"{right}, {count(cleared, 'leftover')} cleared, {count(len(images), 'image')} to extract again")


def _print_compacted(done: Sequence[Compacted]) -> None:
    changed = [item for item in done if item.shards[0] != item.shards[1] or item.bytes[0] != item.bytes[1]]
    if changed:
        rows = [[str(c.folder), *(f"{n}" for n in c.shards), *(megabytes(size) for size in c.bytes)] for c in changed]
        print_table(["key", "shards", "now", "MB", "MB now"], rows)
    freed = sum(item.bytes[0] - item.bytes[1] for item in done)
    print(f"{count(len(changed), 'key')} of {len(done)} compacted, {megabytes(freed)} MB freed")


def _compacted_as_json(item: Compacted) -> dict[str, Any]:
    return {"path": str(item.folder), "shards": list(item.shards), "bytes": list(item.bytes)}
