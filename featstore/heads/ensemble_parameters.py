"""The parameters of the head `ensemble`; known without loading its members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from featstore.heads.parameters import HeadParameters


class Members:
    """The range of the parameter; whether the heads are known is found when they are made."""

    def __str__(self) -> str:
        return "heads with ` + ` between, each with its parameters as KEY=VALUE"

    def holds(self, value: object) -> bool:
        return isinstance(value, str) and all(member.strip() for member in value.split(" + "))

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
