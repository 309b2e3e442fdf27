"""The plot of one curve: losses and accuracies over epochs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featstore.heads.interface import Curve


def _curve_png(curve: Curve, title: str) -> bytes:
    """Losses on the left axis, accuracies on the right. Matplotlib's figure is used bare: pyplot would start a GUI."""
    from matplotlib.figure import Figure

    figure = Figure((7, 4), layout="constrained")
    losses, accuracies = (axes := figure.subplots()), axes.twinx()
    for number, (name, values) in enumerate(curve.series.items()):
        side = accuracies if "accuracy" in name else losses
        side.plot(curve.x, values, f"C{number}", marker="." if len(values) < 20 else None, label=name)
    losses.set(title=title, xlabel=curve.x_name, ylabel="log loss", xscale="log" if curve.log_x else "linear")
    accuracies.set(ylabel="accuracy")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()
