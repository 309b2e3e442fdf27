"""The plot of head and fine-tuning: the epochs of each phase, the hand-over between them, and the marks."""

from __future__ import annotations

import io
import warnings
from itertools import combinations, pairwise
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from PIL import Image

from featstore.heads.interface import Curve
from featstore.plots.fine_tuning import _MIN_SHARE, _NARROW_SHARE, _figure, _head_share, draw_fine_tuning
from featstore.plots.panels import epoch_ticks, number
from featstore.plots.style import HEAD, TUNED

LOGISTIC = Curve("C", [0.1, 1.0], {"loss": [0.4, 0.3], "val_loss": [0.6, 0.5]}, log_x=True)
BEFORE = {"loss": 0.5, "accuracy": 0.8}


def head(epochs: int = 5, best: int | None = None, validated: bool = True) -> Curve:
    """Its validation loss is 0.5 in the best epoch, by default the last, and its accuracy 0.8."""
    x = np.arange(1, epochs + 1)
    away = abs(x - (best or epochs)) / epochs
    series = {"loss": 1 - x / (2 * epochs), "accuracy": 0.4 + x / (2 * epochs)}
    series |= {"val_loss": 0.5 + away, "val_accuracy": 0.8 - away / 2} if validated else {}
    return Curve("epoch", x.tolist(), {name: values.tolist() for name, values in series.items()})


def tuned(epochs: int = 4, best: int | None = None, validated: bool = True) -> Curve:
    """Epoch 0 is the hand-over. Validation loss is 0.3 and accuracy 0.9 in the best epoch, by default the last."""
    x = np.arange(epochs + 1)
    away = abs(x - (epochs if best is None else best)) / epochs / 5
    series = {"loss": np.where(x, 0.4 - x / (9 * epochs), nan), "accuracy": np.where(x, 0.8 + x / (9 * epochs), nan)}
    series |= {"val_loss": 0.3 + away, "val_accuracy": 0.9 - away / 2} if validated else {}
    return Curve("epoch", x.tolist(), {name: values.tolist() for name, values in series.items()})


def drawn(*curves: Curve, before: dict[str, float] | None = None) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The figure, and the lines of its upper and lower axes by their labels."""
    figure = _figure(*curves, before or {}, "a title")
    figure.draw_without_rendering()
    upper, lower = ({line.get_label(): line for line in axes.lines} for axes in figure.axes)
    return figure, upper, lower


def words(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def numbers(figure: Any) -> list[tuple[float, str]]:
    axis = figure.axes[1].xaxis
    return [(place, label.get_text()) for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)]


def test_losses_above_and_accuracies_below_share_the_epochs() -> None:
    """Each of the four series of each phase is in the panel of its measure, over the same places."""
    figure, upper, lower = drawn(head(), tuned())
    assert figure.axes[0].get_shared_x_axes().joined(*figure.axes)
    assert [axes.get_ylabel() for axes in figure.axes] == ["log loss", "accuracy"]
    for phase, curve in (("head", head()), ("fine-tuning", tuned())):
        for name, panel in (("loss", upper), ("accuracy", lower)):
            for series in (name, f"val_{name}"):
                line = panel[f"{phase} {series}"]
                np.testing.assert_array_equal(line.get_ydata(), curve.series[series])
                assert list(line.get_xdata()) == list(upper[f"{phase} val_loss"].get_xdata())


def test_training_is_dashed_and_each_phase_has_its_colour() -> None:
    """Validation is solid, in the colour of its phase like the phase's name."""
    figure, upper, _ = drawn(head(), tuned())
    for phase, colour in (("head", HEAD), ("fine-tuning", TUNED)):
        assert (upper[f"{phase} loss"].get_linestyle(), upper[f"{phase} val_loss"].get_linestyle()) == ("--", "-")
        assert {upper[f"{phase} {series}"].get_color() for series in ("loss", "val_loss")} == {colour}
        (name,) = (text for text in figure.axes[0].texts if text.get_text() == phase)
        assert to_hex(name.get_color()) == colour.lower()


def test_fine_tuning_is_shaded() -> None:
    """A faint shade begins at the hand-over in both panels."""
    for axes in drawn(head(), tuned())[0].axes:
        (shade,) = axes.patches
        assert shade.get_x() == 0
        assert 0 < shade.get_alpha() < 0.1


def test_the_hand_over_is_one_named_line() -> None:
    """It goes through both axes, at epoch 0 of fine-tuning and after the last epoch of the head."""
    figure, upper, lower = drawn(head(), tuned())
    assert [set(panel["hand-over"].get_xdata()) for panel in (upper, lower)] == [{0}, {0}]
    assert words(figure).count("hand-over") == 1
    assert max(upper["head val_loss"].get_xdata()) < 0 == upper["fine-tuning val_loss"].get_xdata()[0]
    assert max(upper["head val_loss"].get_xdata()) > -0.05
    top, bottom = (axes.get_window_extent() for axes in figure.axes)
    reach = lower["hand-over"].get_window_extent()
    assert bottom.y0 <= reach.y0 + 2
    assert reach.y1 >= top.y0
    assert not lower["hand-over"].get_clip_on()


def test_restored_weights_are_those_of_a_dot() -> None:
    """The head's best epoch has one, its level leads to the hand-over, and the epochs after it are pale."""
    figure, upper, lower = drawn(head(10, best=6), tuned())
    for panel, value, name in ((upper, 0.5, "loss"), (lower, 0.8, "accuracy")):
        place = panel[f"head val_{name}"].get_xdata()[-1]
        assert (panel[f"head best {name}"].get_xdata()[0], panel[f"head best {name}"].get_ydata()[0]) == (place, value)
        assert list(panel[f"head level {name}"].get_xdata()) == [place, 0]
        assert list(panel[f"head level {name}"].get_ydata()) == [value, value]
        assert len(panel[f"head val_{name}"].get_xdata()) == 6
        assert len(panel[f"head later val_{name}"].get_xdata()) == 5  # and the best one, where the line goes on
        assert panel[f"head later val_{name}"].get_alpha() < 0.5
    assert "after the best epoch" in words(figure)


def test_nothing_is_pale_where_the_last_epoch_is_best() -> None:
    """The legend does not mention later epochs either."""
    figure, upper, _ = drawn(head(), tuned())
    assert not any("later" in label for label in upper)
    assert "after the best epoch" not in words(figure)


def test_the_best_tuned_epoch_has_a_dot_and_its_value() -> None:
    """The validation loss decides for both measures; it is epoch 0 if fine-tuning only made it worse."""
    figure, upper, lower = drawn(head(), tuned(4, best=3))
    place = upper["fine-tuning val_loss"].get_xdata()[-1]
    assert upper["fine-tuning best loss"].get_xdata()[0] == lower["fine-tuning best accuracy"].get_xdata()[0] == place
    assert {"0.300 epoch 3", "0.900 epoch 3"} <= set(words(figure))
    worse, upper, _ = drawn(head(), tuned(4, best=0))
    assert upper["fine-tuning best loss"].get_xdata()[0] == 0
    assert "0.300 epoch 0" in words(worse)


def test_values_are_written_in_the_colour_of_their_line() -> None:
    """The higher value is above the other, also where both are nearly equal."""
    figure, *_ = drawn(head(), tuned(), before={"loss": 0.3001, "accuracy": 0.8999})
    for axes, order in zip(
        figure.axes, (("0.300 epoch 4", "0.300 head"), ("0.900 head", "0.900 epoch 4")), strict=True
    ):
        notes = {text.get_text(): text for text in axes.texts}
        assert notes[order[0]].get_window_extent().y1 <= notes[order[1]].get_window_extent().y0
        assert to_hex(notes[next(note for note in order if "epoch" in note)].get_color()) == TUNED.lower()


@pytest.mark.parametrize("value, text", [(0.12345, "0.123"), (12.3456, "12.346"), (0.00123456, "0.00123"), (0, "0")])
def test_small_values_keep_their_digits(value: float, text: str) -> None:
    """Three behind the point, unless these would be zeros."""
    assert number(value) == text
    assert number(123456.0) == "1.23e+05"


def test_the_accuracy_decides_on_the_best_epoch_where_no_loss_is_known() -> None:
    """The highest one, and of equal ones the first."""
    curve = Curve("epoch", [0, 1, 2, 3], {"val_accuracy": [0.8, 0.9, 0.9, 0.7], "val_loss": [nan] * 4})
    assert "0.900 epoch 1" in words(drawn(head(), curve)[0])


def test_without_validation_the_last_epoch_is_marked() -> None:
    """The training series is marked and ends at the hand-over; the legend does not call the epoch the best."""
    figure, upper, _ = drawn(head(validated=False), tuned(validated=False))
    assert upper["fine-tuning best loss"].get_ydata()[0] == tuned().series["loss"][-1]
    assert upper["head best loss"].get_ydata()[0] == 0.5
    assert "head level loss" not in upper
    assert "last epoch" in words(figure)
    assert not {"best epoch", "validation"} & set(words(figure))


def test_the_cached_head_is_a_dotted_reference() -> None:
    """It spans fine-tuning only, with its value at the right, and is absent where its value is not known."""
    figure, upper, lower = drawn(head(), tuned(), before=BEFORE)
    for line, value in ((upper["before loss"], 0.5), (lower["before accuracy"], 0.8)):
        assert line.get_linestyle() == ":"
        assert (line.get_xdata()[0], set(line.get_ydata())) == (0, {value})
    assert {"0.500 head", "0.800 head", "head on cached features"} <= set(words(figure))
    assert "head on cached features" not in words(drawn(head(), tuned())[0])
    _, upper, lower = drawn(head(), tuned(), before={"loss": nan, "accuracy": 0.8})
    assert ("before loss" in upper, "before accuracy" in lower) == (False, True)


def test_a_logistic_head_is_a_named_stub() -> None:
    """It has no epochs: a flat line at its value leads to the hand-over, and nothing is numbered there."""
    figure, upper, _ = drawn(LOGISTIC, tuned(), before={"loss": 0.45})
    assert "logistic head" in words(figure)
    assert list(upper["stub loss"].get_ydata()) == [0.45, 0.45]
    assert upper["stub loss"].get_xdata()[0] > figure.axes[0].get_xlim()[0]
    assert upper["stub loss"].get_xdata()[-1] == 0
    assert min(numbers(figure)) == (0, "0")
    assert not any(label.startswith("head") for label in upper)


def test_a_stub_is_where_fine_tuning_begins() -> None:
    """This holds where the value of the head is not known; without validation there is no stub."""
    assert set(drawn(LOGISTIC, tuned())[1]["stub loss"].get_ydata()) == {tuned().series["val_loss"][0]}
    assert "stub loss" not in drawn(LOGISTIC, tuned(validated=False))[1]
    assert "head" in words(drawn(Curve("epoch", [], {}), tuned())[0])


@pytest.mark.parametrize("epochs", [(100, 5), (5, 60), (10, 10), (2, 1)])
def test_each_phase_has_a_fair_share_of_the_width(epochs: tuple[int, int]) -> None:
    """It is at least a third, whatever the epochs of the other phase."""
    share = _head_share(head(epochs[0]), tuned(epochs[1]))
    assert _MIN_SHARE <= share <= 1 - _MIN_SHARE
    assert _MIN_SHARE > 1 / 3
    upper = drawn(head(epochs[0]), tuned(epochs[1]))[1]
    assert min(upper["head val_loss"].get_xdata()) == pytest.approx(-share)
    assert max(upper["fine-tuning val_loss"].get_xdata()) == pytest.approx(1 - share)


def test_a_single_epoch_takes_little_room() -> None:
    """One of the head is a dot in a narrow part; one of fine-tuning a line from the hand-over."""
    figure, upper, _ = drawn(head(1), tuned(1))
    assert list(upper["head val_loss"].get_xdata()) == [-_NARROW_SHARE / 2]
    assert upper["head loss"].get_marker() == "."
    assert [label for _, label in numbers(figure)] == ["1", "0", "1"]


def test_each_phase_is_numbered_by_its_own_epochs() -> None:
    """The numbers are at the places of the epochs."""
    figure, upper, _ = drawn(head(100), tuned(5))
    labels = numbers(figure)
    assert [label for _, label in labels] == ["1", "20", "40", "60", "80", "100", *"012345"]
    places = list(upper["head val_loss"].get_xdata()), list(upper["fine-tuning val_loss"].get_xdata())
    assert labels[2][0] == places[0][39]
    assert [place for place, _ in labels[6:]] == places[1]


@pytest.mark.parametrize("last", [1, 3, 8, 9, 17, 30, 99, 120, 1234])
def test_numbers_are_few_and_keep_apart(last: int) -> None:
    """The last epoch always has one."""
    ticks = epoch_ticks([float(x) for x in range(1, last + 1)], 8)
    assert len(ticks) <= 10
    assert ticks[-1] == last
    assert ticks == sorted(set(ticks))
    assert all(b - a >= min(1, last / 20) and b - a >= last / 30 for a, b in pairwise(ticks))


@pytest.mark.parametrize("factor, scale", [(1, "linear"), (100, "log"), (1e30, "log")])
def test_losses_of_very_different_size_have_a_logarithmic_axis(factor: float, scale: str) -> None:
    """Small losses stay readable; the axis of accuracies is never logarithmic."""
    curve = head()
    curve.series["loss"][0] *= factor
    figure, *_ = drawn(curve, tuned())
    assert [axes.get_yscale() for axes in figure.axes] == [scale, "linear"]
    low, high = figure.axes[0].get_ylim()
    assert high > curve.series["loss"][0]
    assert low < 0.3 or factor == 1e30


@pytest.mark.parametrize("values", [[0.0, 9.0, 0.1], [inf, 2.0, 1.0], [nan] * 3, [0.0] * 3, [1e-320, 1e38, 1.0]])
def test_losses_may_be_anything(values: list[float]) -> None:
    """Zero, infinite or unknown: what cannot be drawn is left out, and the axis is of what can."""
    curve = Curve("epoch", [0, 1, 2], {"loss": values, "val_loss": values, "accuracy": [nan, 0.5, 0.6]})
    figure, upper, _ = drawn(head(3), curve)
    assert np.isfinite(figure.axes[0].get_ylim()).all()
    kept = [y for label in upper if "fine-tuning" in label for y in upper[label].get_ydata()]
    assert not np.isinf(kept).any()
    draw_fine_tuning(head(3), curve, {}, "t")


EXAMPLES = [
    (head(100, best=70), tuned(5), BEFORE),
    (head(12), tuned(60, best=0), {"loss": 0.3, "accuracy": 0.9}),
    (head(1), tuned(1), {"loss": 0.3001, "accuracy": 0.8999}),
    (head(9999), tuned(9999), BEFORE),
    (head(3, validated=False), tuned(2, validated=False), {}),
    (LOGISTIC, tuned(), BEFORE),
    (Curve("epoch", [], {}), tuned(1, validated=False), {}),
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_text_touches_another(example: tuple[Curve, Curve, dict[str, float]]) -> None:
    """All text is inside the plot, also with equal values and with a title longer than the plot."""
    figure = _figure(*example, "a/long/path/" * 30)
    figure.draw_without_rendering()
    for axes in figure.axes:
        hide_beyond(axes)
    found = [(text.get_text(), text.get_window_extent()) for text in figure.findobj(Text) if text.get_visible()]
    found = [(text, extent) for text, extent in found if text and extent.height]
    for text, extent in found:
        assert figure.bbox.x0 <= extent.x0 and extent.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= extent.y0 and extent.y1 <= figure.bbox.y1, text
    for (one, a), (other, b) in combinations(found, 2):
        assert not (a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1), (one, other)
    assert {"hand-over", "fine-tuning", "epoch of fine-tuning"} <= {text for text, _ in found}


def hide_beyond(axes: Any) -> None:
    """The labels of ticks beyond the axis, which matplotlib keeps and does not draw."""
    low, high = axes.get_ylim()
    for place, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
        label.set_visible(low <= place <= high)


@pytest.mark.parametrize("example", EXAMPLES)
def test_nothing_is_cut_at_the_edges(example: tuple[Curve, Curve, dict[str, float]]) -> None:
    """The outermost pixels are white all around."""
    pixels = np.asarray(Image.open(io.BytesIO(draw_fine_tuning(*example, "a title"))).convert("RGB"))
    assert all((edge == 255).all() for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]))
    assert (pixels != 255).any(axis=2).mean() > 0.01


@pytest.mark.parametrize("title", [r"costs $\5$", "caf\udce9", "花 分类", "_hidden", "a\x00\nb", ""])
def test_titles_are_drawn_whatever_they_are(title: str) -> None:
    """Dollar signs begin no formula; undecodable bytes, unknown letters and control characters do no harm."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # letters that no font here has
        drawn = draw_fine_tuning(head(), tuned(), BEFORE, title)
    assert drawn != draw_fine_tuning(head(), tuned(), BEFORE, "another")


def test_the_same_curves_give_the_same_bytes() -> None:
    """Other curves give other bytes."""
    assert draw_fine_tuning(head(), tuned(), {}, "t") == draw_fine_tuning(head(), tuned(), {}, "t")
    assert draw_fine_tuning(head(), tuned(), {}, "t") != draw_fine_tuning(head(), tuned(), BEFORE, "t")
