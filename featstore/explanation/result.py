"""An explanation: which parts of an image speak for a class, and which against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Method = Literal["cam", "grad-cam", "hires-cam", "cells", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """The heat map of one image.

    Attributes:
        path: Path of the image.
        label: The class that is explained.
        probability: Probability of that class, 0 to 1.
        answer: The most probable class.
        method: How the heat was computed.
        heat: (rows, columns) float32, one value for each cell of the image as the base sees it: what the cell adds to
            the score of the class, in the units of the method; positive speaks for the class, negative against it.
        view: The part of the image that the base sees as (left, top, right, bottom), as shares of width and height.
            With padding it is larger than the image.
        against: The class that it is told from: the most probable other one. None where that is not known.
        score: Logarithm of the odds between the two, by the view that is explained; None where that is not known.
        offset: What of the score does not depend on the image, where the heat is exact: its mean over the cells, with
            this, is the score. None where the heat is not exact.
    """

    path: str
    label: str
    probability: float
    answer: str
    method: Method
    heat: NDArray[np.float32]
    view: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    against: str | None = None
    score: float | None = None
    offset: float | None = None

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "path": self.path,
            "label": self.label,
            "probability": self.probability,
            "answer": self.answer,
            "method": self.method,
            "heat": [[float(f"{value:.4g}") for value in row] for row in self.heat.tolist()],
            "view": list(self.view),
            "against": self.against,
            "score": self.score,
            "offset": self.offset,
        }
