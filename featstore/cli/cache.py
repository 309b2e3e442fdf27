"""`featstore cache`: the commands that look after stored features."""

from __future__ import annotations

import typer

from featstore.cli import cache_care, cache_explain, cache_keys

app = typer.Typer(help="Look after the cache: list, verify, repair, shrink and explain it.", no_args_is_help=True)
app.command("ls")(cache_keys.list_keys)
app.command("explain")(cache_explain.command)
app.command("verify")(cache_care.verify)
app.command("repair")(cache_care.repair)
app.command("compact")(cache_care.compact)
app.command("prune")(cache_keys.prune)
