"""`featstore heads`"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from featstore.cli import options
from featstore.cli.console import print_json, say
from featstore.heads.parameters import parameter_help, range_of, shown
from featstore.heads.registry import HEADS, HeadName


def command(json: options.Json = False, quiet: options.QuietNames = False) -> None:
    """List the heads: their layers, where they come from, and their parameters with defaults and ranges.

    Example: featstore heads
    """
    if json:
        print_json({"heads": [_describe(name) for name in HEADS]})
        return
    for name, entry in HEADS.items():
        if quiet:
            say(name)
            continue
        say(name)
        say(f"  layers: {entry.layers}")
        say(f"  source: {entry.source}")
        if entry.base:
            say(f"  base: {entry.base} only")
        if entry.pool:
            say(f"  pool: {entry.pool}, unless --pool says otherwise")
        for item in _describe(name)["parameters"]:
            range_ = item["range"][:1].upper() + item["range"][1:]
            say(f"  {item['name']}={shown(item['default'])}: {item['help']} {range_}.")


def _describe(name: HeadName) -> dict[str, Any]:
    entry = HEADS[name]
    texts = parameter_help(entry.parameters)
    return {
        "name": name,
        "layers": entry.layers,
        "source": entry.source,
        "base": entry.base,
        "pool": entry.pool,
        "parameters": [
            {
                "name": field.name,
                "default": field.default,
                "range": range_of(entry.parameters, field.name),
                "help": texts[field.name],
            }
            for field in fields(entry.parameters)
        ],
    }
