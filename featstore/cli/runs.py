"""`featstore runs`: the commands that look after saved runs. Without a verb they are listed."""

from __future__ import annotations

import os
from typing import Any

import typer
from typer.core import TyperGroup

from featstore.cli import runs_compare, runs_list, runs_remove, runs_show
from featstore.cli.command import Command
from featstore.errors import UsageError
from featstore.system.words import meant_by

_LIST = "ls"


class _ListsByDefault(TyperGroup):
    """A group in which `featstore runs` and `featstore runs FOLDER` are `featstore runs ls`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first in self.commands or first in ctx.help_option_names:
            return super().parse_args(ctx, args)
        near = (
            meant_by(first, self.commands) if first and not first.startswith("-") and not os.path.exists(first) else []
        )
        if near:
            raise UsageError(f"{first}: no such folder, and no such command; did you mean {' or '.join(near)}?")
        return super().parse_args(ctx, [_LIST, *args])


app = typer.Typer(
    help="List saved runs, show one, compare some on the same images, remove them. Without a verb: list.",
    cls=_ListsByDefault,
    no_args_is_help=False,
)
app.command(_LIST, cls=Command)(runs_list.command)
app.command("show", cls=Command)(runs_show.command)
app.command("compare", cls=Command)(runs_compare.command)
app.command("rm", cls=Command)(runs_remove.command)
