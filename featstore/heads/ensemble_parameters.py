"""The parameters of the head `ensemble`; known without loading its members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from featstore.errors import UsageError
from featstore.heads.parameters import HeadParameters

SEPARATOR = " + "


class Members:
    """The range of the parameter; whether the heads are known is found when they are made."""

    def __str__(self) -> str:
        return "heads with ` + ` between, each with its parameters as KEY=VALUE"

    def holds(self, value: object) -> bool:
        return isinstance(value, str) and all(member.strip() for member in value.split(SEPARATOR))

    def parse(self, text: str) -> str:
        return text.strip()

    def settle(self, value: object) -> object:
        return value


@dataclass
class EnsembleParameters(HeadParameters):
    """Parameters of the head `ensemble`.

    Attributes:
        members: Heads with their parameters, as in logistic C=0.1 + ridge penalty=1.
    """

    members: Annotated[str, Members()] = "logistic + ridge"


def named_members(parameters: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """Return the members of an ensemble with these parameters: the name of each, and its own parameters as text."""
    text = str(parameters.get("members", EnsembleParameters.members))
    members = []
    for member in text.split(SEPARATOR):
        name, *settings = member.split() or [""]
        if wrong := [word for word in settings if "=" not in word]:
            raise UsageError(f"head ensemble: members={text!r}: expected KEY=VALUE after {name}, found {wrong[0]!r}")
        keys = [word.partition("=")[0] for word in settings]
        if twice := [key for place, key in enumerate(keys) if key in keys[:place]]:
            raise UsageError(f"head ensemble: members={text!r}: {twice[0]} of {name} is given twice")
        members.append((name, dict(word.split("=", 1) for word in settings)))
    return members


def member_names(parameters: Mapping[str, Any]) -> list[str]:
    """Return the names of the members of an ensemble with these parameters."""
    return [name for name, _ in named_members(parameters)]
