"""How messages name parameters: as options of the command that runs, or of one that has such an option.

The package does not know which command calls it. A message of a base's, say, names `--pool`, and is raised in a command
that takes a run, whose features are settled. No message must name an option that is then refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from featstore.cli.console import flag
from featstore.errors import Spell

Options = Mapping[str, frozenset[str]]  # and the names of arguments, of each command, such as "cache ls"
_FIRST = ("train-head", "extract")  # the commands that users know best


def speller(words: Sequence[str], find_options: Callable[[], Options]) -> Spell:
    """Return how the command line that begins with `words` spells a parameter.

    find_options: finds the options of all commands, which takes a while; it is called if a message names one.
    """
    options = cache(find_options)

    def spell(name: str, value: object) -> str:
        text, option = flag(name, value), flag(name, None)
        if any(name in known for command, known in options().items() if _begin_with(words, command)):
            return name.upper()  # an argument, as in DATA
        owners = [command for command, known in options().items() if option in known]
        if not owners or any(_begin_with(words, command) for command in owners) or not _is_known(words, options()):
            return text
        owner = next((command for command in _FIRST if command in owners), owners[0])
        return f"{text} (an option of featstore {owner})"

    return spell


def _is_known(words: Sequence[str], options: Options) -> bool:
    return any(_begin_with(words, command) for command in options)


def _begin_with(words: Sequence[str], command: str) -> bool:
    parts = command.split()
    return list(words[: len(parts)]) == parts
