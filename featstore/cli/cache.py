"""`featstore cache`: the commands that look after stored features."""

from __future__ import annotations

import typer

from featstore.cli import cache_care, cache_explain, cache_keys
from featstore.cli.command import Command

app = typer.Typer(help="Look after the cache: list, verify, repair, shrink and explain it.", no_args_is_help=True)
app.command("ls", cls=Command)(cache_keys.list_keys)
app.command("explain", cls=Command)(cache_explain.command)
app.command("verify", cls=Command)(cache_care.verify)
app.command("repair", cls=Command)(cache_care.repair)
app.command("compact", cls=Command)(cache_care.compact)
app.command("prune", cls=Command)(cache_keys.prune)
