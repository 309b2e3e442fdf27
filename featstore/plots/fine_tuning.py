"""The plot of a fine-tuning: the curves of the head and of the fine-tuning after it, with the hand-over marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from featstore.heads.interface import Curve
from featstore.plots.files import Kind, render
from featstore.plots.fonts import legible
from featstore.plots.panels import PANELS, best_epoch, epoch_ticks, limits_of, number
from featstore.plots.style import DPI, FEW, GREY, HEAD, LABEL, LINE, PALE, TICK, TITLE, TUNED
from featstore.plots.text import in_our_style, shorten_to

_WIDTH, _HEIGHT = 8.6, 5.8  # inches
# The whole width is 1, and the hand-over is at 0. Each phase has its own width per epoch: a hundred short epochs of a
# head would leave no room for five of fine-tuning.
_NARROW_SHARE = 0.16  # width of a head without epochs, or with one
_MIN_SHARE = 0.35  # smallest width of either phase otherwise
_GAP = 0.03  # from the head's last epoch to the hand-over: both have a number below them
_LINE_HEIGHT = 0.075  # smallest distance of two lines of text, as a share of the axis


class _Phase(NamedTuple):
    """One of the two trainings. Epoch x[i] of the curve is drawn at places[i]; `best` is such an i, or -1 for none."""

    name: str
    colour: str
    curve: Curve
    places: list[float]
    best: int


def draw_fine_tuning(head: Curve, tuned: Curve, before: Mapping[str, float], title: str, kind: Kind = "png") -> bytes:
    """Return a picture with the loss above and the accuracy below, the head on the left and fine-tuning on the right.

    Both curves have the series `loss` and `accuracy`, and with validation `val_loss` and `val_accuracy`.

    Args:
        head: Curve over epochs. A curve over C has no epochs and becomes a short flat line.
        tuned: Curve over the epochs 0, 1, 2, ... Epoch 0 is the hand-over; only its validation values are known, the
            others are NaN.
        before: `loss` and `accuracy` of the head on cached features of the validation images, or empty.
        title: Title of the plot.
        kind: Kind of file.
    """
    (title,), fonts = legible([title], "matplotlib")
    with in_our_style(fonts):
        return render(_figure(head, tuned, before, title), kind)


def _figure(head: Curve, tuned: Curve, before: Mapping[str, float], title: str) -> Any:
    """Return the matplotlib figure. Its lines have labels such as `head val_loss` and `fine-tuning best loss`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure((_WIDTH, _HEIGHT), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)  # needed to measure text
    shorten_to(figure.suptitle(title, fontsize=TITLE, parse_math=False), _WIDTH - 0.3)
    both = upper, lower = figure.subplots(2, 1, sharex=True)
    share = _head_share(head, tuned)
    phases = _head_phase(head, share), _tuned_phase(tuned, share)
    for axes, name in zip(both, ("loss", "accuracy"), strict=True):
        _draw_panel(axes, name, phases, before, share)
    _draw_handover(upper, lower)
    for phase, middle in zip(phases, (-share / 2, (1 - share) / 2), strict=True):
        upper.text(middle, 1.02, phase.name, transform=upper.get_xaxis_transform(), ha="center", color=phase.colour)
    _number_epochs(lower, phases)
    _draw_legend(figure, phases, before)
    return figure


def _head_share(head: Curve, tuned: Curve) -> float:
    """Return the head's share of the width: its share of the epochs, within limits."""
    if not _has_epochs(head) or len(head.x) == 1:
        return _NARROW_SHARE
    return min(1 - _MIN_SHARE, max(_MIN_SHARE, len(head.x) / (len(head.x) + len(tuned.x))))


def _has_epochs(head: Curve) -> bool:
    return head.x_name == "epoch" and bool(head.x)


def _head_phase(head: Curve, share: float) -> _Phase:
    if not _has_epochs(head):
        return _Phase("logistic head" if head.x_name == "C" else "head", HEAD, Curve("epoch", [], {}), [], -1)
    if len(head.x) == 1:
        return _Phase("head", HEAD, head, [-share / 2], 0)
    step = (share - _GAP) / (head.x[-1] - head.x[0])
    return _Phase("head", HEAD, head, [-_GAP - (head.x[-1] - x) * step for x in head.x], best_epoch(head))


def _tuned_phase(tuned: Curve, share: float) -> _Phase:
    last = max([1.0, *tuned.x])
    return _Phase("fine-tuning", TUNED, tuned, [x / last * (1 - share) for x in tuned.x], best_epoch(tuned))


def _draw_panel(axes: Any, name: str, phases: Sequence[_Phase], before: Mapping[str, float], share: float) -> None:
    """Draw the lines of one measure, `name`, of both phases, with the values of the head and of the best epoch."""
    end = 1 - share
    axes.axvspan(0, end + 0.02, color=TUNED, alpha=0.05, linewidth=0)
    axes.set_xlim(-share - 0.02, end + 0.02)
    notes = []
    if isfinite(before.get(name, float("nan"))):
        axes.plot([0, end + 0.02], [before[name]] * 2, ":", color=GREY, linewidth=LINE, label=f"before {name}")
        notes.append((before[name], f"{number(before[name])} head", GREY))
    for phase in phases:
        _draw_lines(axes, name, phase)
    notes += _mark_best(axes, name, phases[1], end + 0.02)
    if phases[0].places:
        _mark_best(axes, name, phases[0], 0.0)
    else:
        _draw_stub(axes, name, phases[1], before, share)
    _set_scale(axes, name)
    _write_notes(axes, notes)
    axes.set_ylabel(PANELS[name], fontsize=LABEL)
    axes.tick_params(labelsize=TICK, length=3)
    axes.grid(axis="y", alpha=0.3)


def _draw_lines(axes: Any, name: str, phase: _Phase) -> None:
    for series, style in ((name, "--"), (f"val_{name}", "-")):
        values = [value if isfinite(value) else float("nan") for value in phase.curve.series.get(series, [])]
        line = {"color": phase.colour, "linewidth": LINE, "marker": "." if len(values) < FEW else None, "markersize": 4}
        kept, end = phase.best + 1, len(values)
        if values:
            axes.plot(phase.places[:kept], values[:kept], style, label=f"{phase.name} {series}", **line)
        if values and kept < end:
            axes.plot(
                phase.places[kept - 1 :],
                values[kept - 1 :],
                style,
                label=f"{phase.name} later {series}",
                alpha=PALE,
                **line,
            )


def _mark_best(axes: Any, name: str, phase: _Phase, end: float) -> list[tuple[float, str, str]]:
    """Mark the epoch that was kept with a dot and a line to `end`; return (value, text, colour) to write there."""
    series = f"val_{name}" if f"val_{name}" in phase.curve.series else name
    values = phase.curve.series.get(series, [])
    if phase.best < 0 or not values or not isfinite(values[phase.best]):
        return []
    place, value, label = phase.places[phase.best], values[phase.best], f"{phase.name} best {name}"
    axes.plot([place], [value], "o", color=phase.colour, markersize=6.5, label=label, zorder=4, markeredgecolor="white")
    if series != name or end > 0:  # a training series does not continue at the hand-over
        axes.plot([place, end], [value] * 2, color=phase.colour, linewidth=0.7, label=f"{phase.name} level {name}")
    return [(value, f"{number(value)} epoch {phase.curve.x[phase.best]:g}", phase.colour)]


def _draw_stub(axes: Any, name: str, tuned: _Phase, before: Mapping[str, float], share: float) -> None:
    """Draw a short flat line up to the hand-over, at the known value of the head."""
    values = [before.get(name, float("nan")), *tuned.curve.series.get(f"val_{name}", [])[:1]]
    known = [value for value in values if isfinite(value)]
    if known:
        axes.plot([-0.8 * share, 0], [known[0]] * 2, color=HEAD, linewidth=LINE, label=f"stub {name}")


def _set_scale(axes: Any, name: str) -> None:
    """Set the y axis to the range of all values; for losses of very different size it is logarithmic."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high, is_log = limits_of(name, [float(value) for line in axes.lines for value in line.get_ydata()])
    if is_log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 400 else (1.0,), numticks=8))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(low, high)


def _write_notes(axes: Any, notes: Sequence[tuple[float, str, str]]) -> None:
    """Write each note right of the axes at the height of its value; two notes keep a line's distance."""
    to_axes = axes.transData + axes.transAxes.inverted()
    places = [to_axes.transform((0, value))[1] for value, _, _ in notes]
    heights = sorted((min(1.0, max(0.0, place)), number) for number, place in enumerate(places))  # clipped: a loss of 0
    if len(heights) == 2 and heights[1][0] - heights[0][0] < _LINE_HEIGHT:
        middle = (heights[0][0] + heights[1][0]) / 2
        heights = [(middle - _LINE_HEIGHT / 2, heights[0][1]), (middle + _LINE_HEIGHT / 2, heights[1][1])]
    for height, place in heights:
        _, words, colour = notes[place]
        axes.text(1.01, height, words, color=colour, transform=axes.transAxes, fontsize=TICK, va="center")


def _draw_handover(upper: Any, lower: Any) -> None:
    """Draw one line through both axes, with its name between them."""
    for axes, reach in ((upper, 1.0), (lower, 1.2)):
        line = axes.axvline(0, 0, reach, color="black", linewidth=1.1, clip_on=False, label="hand-over")
        line.set_in_layout(False)  # else the layout would move the axes away from it
    name = lower.text(0, 1.085, "hand-over", ha="center", va="center", fontsize=8.5, zorder=6)
    name.set(transform=lower.get_xaxis_transform(), bbox={"facecolor": "white", "linewidth": 0, "pad": 2})


def _number_epochs(axes: Any, phases: Sequence[_Phase]) -> None:
    """Write the numbers of the epochs of each phase, with its name below them."""
    numbered = []
    for phase in phases:
        for x in epoch_ticks(phase.curve.x, 8 if len(phase.places) > 1 else 1):
            numbered.append((phase.places[phase.curve.x.index(x)], f"{x:g}"))
        if phase.places:
            middle = (phase.places[0] + phase.places[-1]) / 2
            style = {"ha": "center", "va": "top", "fontsize": LABEL, "color": phase.colour}
            words = "epoch" if len(phase.places) == 1 else f"epoch of {phase.name.replace('head', 'the head')}"
            axes.text(middle, -0.12, words, transform=axes.get_xaxis_transform(), **style)
    axes.set_xticks(*zip(*numbered, strict=True)) if numbered else axes.set_xticks([])


def _draw_legend(figure: Any, phases: Sequence[_Phase], before: Mapping[str, float]) -> None:
    from matplotlib.lines import Line2D

    validated = any(name.startswith("val_") for phase in phases for name in phase.curve.series)
    later = any(phase.places and phase.best < len(phase.places) - 1 for phase in phases)
    entries: list[tuple[str, bool, dict[str, Any]]] = [
        ("training", True, {"linestyle": "--"}),
        ("validation", validated, {}),
        ("best epoch" if validated else "last epoch", True, {"marker": "o", "linestyle": "", "markersize": 6}),
        ("after the best epoch", later, {"alpha": PALE}),
        ("head on cached features", bool(before), {"linestyle": ":"}),
    ]
    handles = [Line2D([], [], color=GREY, label=label, **style) for label, shown, style in entries if shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=TICK, frameon=False)
