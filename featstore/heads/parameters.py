"""The parameters of the heads, with their defaults, ranges and help; known without loading a head.

Each head is a dataclass made of one of these. The command line makes its options of their fields, and `featstore heads`
lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args

from featstore.errors import UsageError, param
from featstore.system.fields import (
    Between,
    Within,
    choices,
    field_help,
    field_types,
    limits,
    settle_choice,
    settle_fields,
)
from featstore.system.words import spelled_as

Count = Annotated[int, Between(1)]
Rate = Annotated[float, Within(0, includes_low=False)]
Share = Annotated[float, Within(0, 1)]
Activation = Literal["relu", "elu", "selu", "gelu", "tanh", "sigmoid"]

ALIASES = {"lr": "rate", "learning-rate": "rate", "dropout": "p", "batch-size": "batch"}  # words of other tools


@dataclass
class HeadParameters:
    """Values that a user can set; each is checked when it is made."""

    def __post_init__(self) -> None:
        settle_fields(self)


@dataclass
class LogisticParameters(HeadParameters):
    """Parameters of the head `logistic`.

    Attributes:
        C: Inverse strength of the L2 penalty; none selects it from 1e-5 to 10 by cross-validation.
        folds: Folds of that cross-validation; fewer where a class has fewer images.
        max_iter: Most iterations of the solver.
    """

    C: Rate | None = None
    folds: Annotated[int, Between(2)] = 5
    max_iter: Count = 1000


@dataclass
class KerasParameters(HeadParameters):
    """Parameters of all Keras heads.

    Attributes:
        epochs: Most epochs.
        batch: Rows of features in a step.
        rate: Learning rate of Adam.
        patience: Epochs without a smaller validation loss after which training ends; the best weights are kept.
    """

    epochs: Count = 100
    batch: Count = 64
    rate: Rate = 1e-3
    patience: Count = 10


@dataclass
class BatchNormParameters(KerasParameters):
    """Parameters of the Keras heads with BatchNormalization, which makes a batch of one row zero.

    Attributes:
        batch: Rows of features in a step, at least 2: BatchNormalization learns nothing from one.
    """

    batch: Annotated[int, Between(2)] = 64


@dataclass
class BnDropoutParameters(BatchNormParameters):
    """Parameters of the head `bn-dropout`.

    Attributes:
        p: Dropout rate before the output, and half of it before each dense layer.
        units: Width of each dense layer.
    """

    p: Share = 0.5
    units: Count = 128


@dataclass
class VggFcParameters(KerasParameters):
    """Parameters of the head `vgg-fc`.

    Attributes:
        p: Dropout rate before the output.
        units: Width of the dense layer.
    """

    rate: Rate = 1e-4
    p: Share = 0.5
    units: Count = 256


@dataclass
class FcBnParameters(BatchNormParameters):
    """Parameters of the head `fc-bn`.

    Attributes:
        p: Dropout rate before each dense layer and before the output.
        units: Width of each dense layer.
        activation: Activation of each dense layer.
    """

    p: Share = 0.8
    units: Count = 256
    activation: Activation = "relu"


@dataclass
class ScratchCnnParameters(KerasParameters):
    """Parameters of the head `scratch-cnn`.

    Attributes:
        p: Dropout rate before the output.
    """

    epochs: Count = 50
    batch: Count = 32
    patience: Count = 8
    p: Share = 0.5


def parameter_help(kind: Any) -> dict[str, str]:
    """Return the help of each parameter, with that of the classes that `kind` inherits from."""
    return {name: text for part in reversed(kind.__mro__) for name, text in field_help(part).items()}


def range_of(kind: Any, name: str) -> str:
    """Return in words what a parameter may be."""
    hint = field_types(kind)[name]
    known = choices(hint)
    text = f"one of {', '.join(known)}" if known else str(limits(hint))
    return f"{text}, or none" if _may_be_none(hint) else text


def parse_parameters(kind: Any, head: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` by the names that the head has for them; text becomes numbers.

    Raises UsageError for a parameter that the head does not have, that is given twice, or whose value it does not take.
    """
    hints = field_types(kind)
    known = [field.name for field in fields(kind)]
    parsed: dict[str, Any] = {}
    for word, value in given.items():
        name = parameter_named(word, known)
        if name is None:
            raise UsageError(
                f"head {head} has no parameter {word!r}: it takes {', '.join(known)}; `featstore heads` has all"
            )
        if name in parsed:
            raise UsageError(f"{param('parameters', word)}: {name} is given twice")
        parsed[name] = _parse(value, hints[name])
        try:
            kind(**{name: parsed[name]})
        except (UsageError, TypeError):  # which would name an option, and `--folds` of compare is another one
            raise UsageError(f"head {head}: {name}={value}: expected {range_of(kind, name)}") from None
    return parsed


def aliases_of(name: str) -> list[str]:
    """Return the words of other tools for a parameter."""
    return [word for word, meant in ALIASES.items() if meant == name]


def parameter_named(word: str, known: list[str]) -> str | None:
    """Return the one of the parameters `known` that `word` stands for, in any spelling; None if there is none."""
    name = spelled_as(word, known)
    alias = spelled_as(word, ALIASES)
    return name or (spelled_as(ALIASES[alias], known) if alias else None)


def _parse(value: Any, hint: Any) -> Any:
    """Return a value that was given as text as its type; text that is no such value stays as it is."""
    if not isinstance(value, str):
        return value
    if _may_be_none(hint) and value.strip().lower() == "none":
        return None
    if choices(hint):
        return settle_choice(hint, value) or value
    try:
        return int(value) if isinstance(limits(hint), Between) else float(value)
    except ValueError:
        return value


def _may_be_none(hint: Any) -> bool:
    return type(None) in get_args(hint)
