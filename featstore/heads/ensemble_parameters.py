"""The parameters of the head `ensemble`; known without loading its members."""

from __future__ import annotations

from dataclasses import dataclass

from featstore.heads.parameters import HeadParameters


@dataclass
class EnsembleParameters(HeadParameters):
    """Parameters of the head `ensemble`.

    Attributes:
        members: Heads with their parameters, as in logistic C=0.1 + ridge penalty=1.
    """

    members: str = "logistic + ridge"
