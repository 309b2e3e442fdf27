"""The diagram of a network: where its parts are, how their kinds differ, and that all text is readable."""

from __future__ import annotations

import io
import warnings
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.text import Text
from PIL import Image

from featstore.plots.files import KINDS, Kind
from featstore.plots.network import (
    _BOX,
    _STYLES,
    Part,
    _column_count,
    _figure,
    _layout,
    _make_chain,
    _short,
    draw_network,
)
from featstore.plots.style import DPI
from featstore.plots.text import in_our_style

FROZEN = Part("block4", 4, (14, 14, 512), 5_899_776, 0, 2)
TRAINED = Part("block5", 4, (7, 7, 512), 7_079_424, 7_079_424, 0)
POOL = Part("avg_pool", 1, (512,), 0, 0, 0)
HEAD = Part("head", 3, (102,), 53_350, 52_326, 1)
NETWORK = [FROZEN._replace(name=f"block{n}", kept=0) for n in range(1, 5)] + [TRAINED, POOL, HEAD]
LONG = Part("conv5_block1_1_conv ... conv5_block3_out", 32, (1000, 1000, 2048), 14_964_736, 14_900_000, 10)


def words(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def boxes(figure: Any) -> dict[str, Any]:
    return {patch.get_gid(): patch for patch in figure.axes[0].patches if patch.get_gid()}


def middle(figure: Any, gid: str) -> tuple[float, float]:
    """Return the middle of a box, measured from the top and from the left, so that places sort in reading order."""
    extent = boxes(figure)[gid].get_window_extent()
    return -round((extent.y0 + extent.y1) / 2), (extent.x0 + extent.x1) / 2


def assert_readable(figure: Any) -> None:
    """Assert that no text touches another or leaves the plot, and that text in a box stays in it."""
    figure.draw_without_rendering()  # places the legend
    found = [(text, text.get_window_extent()) for text in figure.findobj(Text) if text.get_text()]
    for (one, a), (other, b) in combinations(found, 2):
        rows, columns = min(a.y1, b.y1) - max(a.y0, b.y0), min(a.x1, b.x1) - max(a.x0, b.x0)
        # lines of a paragraph may share the space below a baseline
        assert columns <= 0 or rows <= 0.35 * min(a.height, b.height), (one, other)
    for text, extent in found:
        assert figure.bbox.x0 <= extent.x0 and extent.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= extent.y0 and extent.y1 <= figure.bbox.y1, text
        for box in boxes(figure).values():
            room = box.get_window_extent()
            if room.y0 < (extent.y0 + extent.y1) / 2 < room.y1 and extent.x1 > room.x0 and extent.x0 < room.x1:
                assert room.x0 < extent.x0 and extent.x1 < room.x1, text
                assert room.y0 <= extent.y0 and extent.y1 <= room.y1, text


def test_the_chain_leads_from_the_image_to_the_classes() -> None:
    """Boxes in the order of reading, one for each part, with an arrow between each two."""
    figure = _figure(NETWORK, "t")
    names = ["image", *(f"part-{n}" for n in range(4)), "cached here", "part-4", "part-5", "part-6"]
    names.append("class probabilities")
    assert sorted(boxes(figure), key=lambda gid: middle(figure, gid)) == names
    arrows = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == len(names) - 1


def test_arrows_end_at_the_boxes() -> None:
    """Each leads from the right edge of a box to the left edge of the next, also at the end of a row."""
    figure = _figure(NETWORK, "t")
    places, _ = _layout(_make_chain(NETWORK))
    arrows = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    ways = iter(figure.axes[0].lines)
    for arrow, (start, end) in zip(arrows, pairwise(places), strict=True):
        source, target = arrow._posA_posB
        if end.y < start.y:
            way = next(ways).get_xydata()
            np.testing.assert_allclose(way[-1], source)
            source = way[0]
        np.testing.assert_allclose(
            [source, target], [(start.x + start.width / 2, start.y), (end.x - end.width / 2, end.y)]
        )
    assert next(ways, None) is None


def test_the_cache_stands_before_the_first_trained_part() -> None:
    """Frozen parts may follow it, and at least one comes before it."""
    assert _make_chain([FROZEN, POOL, TRAINED, POOL, HEAD])[3] == "cached here"
    assert _make_chain([FROZEN, TRAINED, FROZEN, HEAD]).count("cached here") == 1
    assert "cached here" not in _make_chain([TRAINED, HEAD])
    assert "cached here" not in _make_chain([FROZEN, POOL])


def test_the_cache_may_stand_before_layers_without_parameters() -> None:
    """A head that begins with flattening reads the cache there, not before its first dense layer."""
    chain = _make_chain([FROZEN, POOL, TRAINED, HEAD], cached=1)
    assert chain.index("cached here") == 2
    assert _make_chain([TRAINED], cached=0)[1] == "cached here"


def test_the_shape_of_an_image_and_what_a_layer_does_are_written() -> None:
    """As in Keras' own picture of a model."""
    layer = Part("Dense 256", 1, (256,), 590_080, 590_080, 0, "head, relu")
    found = words(_figure([FROZEN, layer], "t", (224, 224, 3)))
    assert {"224×224×3", "Dense 256", "head, relu"} <= {*found}
    assert "1 layer" not in found


@pytest.mark.parametrize("part, kind", [(FROZEN, "frozen"), (TRAINED, "trained"), (POOL, "no parameters")])
def test_parts_differ_in_colour_and_without_it(part: Part, kind: str) -> None:
    """The strip is full, hatched or absent, and the legend has that mark and no other."""
    figure = _figure([part], "t")
    box = boxes(figure)["part-0"]
    assert to_hex(box.get_facecolor()) == _STYLES[kind]["fill"].lower()
    assert to_hex(box.get_edgecolor()) == _STYLES[kind]["edge"].lower()
    strips = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert [bool(strip.get_hatch()) for strip in strips] == {"frozen": [False], "trained": [True]}.get(kind, [])
    assert all(strip.get_clip_path() for strip in strips)  # else it would stand out at the box's round corners
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [kind]
    assert bool(legend.legend_handles[0].get_hatch()) == (kind == "trained")


def test_a_box_says_what_is_in_the_part() -> None:
    """Its layers and parameters, which of these are trained, and the BatchNormalization layers left as they are."""
    found = words(_figure([FROZEN, TRAINED, HEAD], "t"))
    for line in ("block4", "4 layers", "5.9 M parameters", "7.1 M parameters", "all trained", "53.4 k parameters"):
        assert line in found
    assert {"52.3 k trained", "1 BN keeps statistics"} <= set(found)
    assert "11 layers, 13.0 M parameters, 7.1 M of them trained" in found
    assert {"10 BN keep statistics", "1 layer"} <= set(words(_figure([LONG, POOL], "t")))


def test_batch_normalization_is_explained_where_it_is_said() -> None:
    """Frozen parts keep all they have, so neither their box nor the note mentions it."""
    assert any(line.startswith("BN keeps statistics:") for line in words(_figure([FROZEN, HEAD], "t")))
    assert not any("BN" in line for line in words(_figure([FROZEN, TRAINED], "t")))


def test_shapes_follow_the_parts() -> None:
    """Each is on the arrow out of its part, and below the part at the end of a row."""
    figure = _figure([FROZEN._replace(shape=(28, 28, 256)), FROZEN, TRAINED], "t")
    shapes = {text.get_text(): text.get_window_extent() for text in figure.findobj(Text) if text.get_fontsize() == 6.5}
    assert list(shapes) == ["28×28×256", "14×14×512", "7×7×512"]
    first, second, third, end = (
        boxes(figure)[gid].get_window_extent() for gid in ("part-0", "part-1", "part-2", "class probabilities")
    )
    assert first.x1 < shapes["28×28×256"].x0 < shapes["28×28×256"].x1 < second.x0
    assert second.y0 - 0.5 * DPI < shapes["14×14×512"].y0 < shapes["14×14×512"].y1 < second.y0
    assert third.x1 < shapes["7×7×512"].x0 < shapes["7×7×512"].x1 < end.x0


@pytest.mark.parametrize(
    "number, text",
    [(0, "0"), (999, "999"), (1000, "1.0 k"), (999_949, "999.9 k"), (999_950, "1.0 M"), (2_350_000, "2.4 M")],
)
def test_large_numbers_are_short(number: int, text: str) -> None:
    """They have one digit after the point, and are never 1000 of a unit."""
    assert _short(number) == text
    assert _short(1_234_567_890) == "1.2 G"


@given(st.integers(3, 200))
@example(43)
def test_rows_are_full_and_not_too_many(count: int) -> None:
    """There are at most nine rows, and the last is at least half full."""
    columns = _column_count(count)
    rows = -(-count // columns)
    assert rows <= 9
    assert columns <= 4 or count > 10
    assert 2 * (count - (rows - 1) * columns) >= columns


@pytest.mark.parametrize("count", [1, 2, 5, 9, 18, 40])
def test_boxes_keep_apart(count: int) -> None:
    """They keep a distance from the edges too, and the drawing grows with their number."""
    places, (width, height) = _layout(_make_chain([FROZEN] * (count - 1) + [TRAINED]))
    for one, other in combinations(places, 2):
        assert one.y != other.y or abs(one.x - other.x) > _BOX[0] + 0.5
        assert one.y == other.y or abs(one.y - other.y) > _BOX[1] + 0.3
    assert all(place.x - place.width / 2 > 0.4 and place.x + place.width / 2 < width - 0.4 for place in places)
    assert all(place.y - _BOX[1] / 2 > 0.6 and place.y + _BOX[1] / 2 < height - 0.6 for place in places)
    image = Image.open(io.BytesIO(draw_network([FROZEN] * (count - 1) + [TRAINED], "t")))
    assert image.size == pytest.approx((width * DPI, height * DPI), abs=1)


@pytest.mark.parametrize("parts", [NETWORK, [LONG] * 17, [TRAINED], [POOL._replace(name="W" * 90, layers=10**9)] * 3])
def test_all_can_be_read(parts: list[Part]) -> None:
    """Long names, large shapes and full boxes included, below a title that is longer than the plot."""
    assert_readable(_figure(parts, "/a/folder/of/mine" * 30))


def test_long_names_are_shortened_in_the_middle() -> None:
    """In a name of the form `first ... last`, each layer has its own line."""
    found = words(_figure([LONG, POOL._replace(name="first_" + "x" * 90 + "_last")], "t"))
    assert {"conv5_block1_1_conv …", "conv5_block3_out"} <= set(found)
    (short,) = (line for line in found if line.startswith("first_"))
    assert short.endswith("x_last")
    assert "…" in short


@pytest.mark.parametrize("name", [r"costs $\5$", "caf\udce9", "花 分类", "a--b\x00<&>\n", "_hidden", ""])
@pytest.mark.parametrize("kind", ["png", "svg"])
def test_names_are_drawn_whatever_they_are(name: str, kind: Kind) -> None:
    """Dollar signs begin no formula; undecodable bytes, unknown letters and control characters do no harm."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # letters that no font here has
        drawn = draw_network([FROZEN._replace(name=name), TRAINED], name, kind)
        assert drawn != draw_network([FROZEN, TRAINED], name, kind)
    if kind == "svg":
        ET.fromstring(drawn)


def test_other_warnings_are_not_silenced() -> None:
    """Only those of letters that the font lacks."""
    with in_our_style(), pytest.raises(UserWarning, match="else"):
        warnings.warn("something else", UserWarning, stacklevel=1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_parts_give_the_same_bytes(kind: Kind) -> None:
    """There is no date and ids are fixed, so a plot under version control changes with the network only."""
    drawn = draw_network(NETWORK, "t", kind)
    assert drawn == draw_network(NETWORK, "t", kind)
    assert drawn != draw_network(NETWORK[1:], "t", kind)
    assert b"date>" not in drawn


def test_kinds_are_what_they_say() -> None:
    """An SVG names its boxes, and a PNG has something on it but at its edges."""
    root = ET.fromstring(draw_network(NETWORK, "t", "svg"))
    assert {f"part-{n}" for n in range(len(NETWORK))} <= {element.get("id") for element in root.iter()}
    pixels = np.asarray(Image.open(io.BytesIO(draw_network(NETWORK, "t"))).convert("RGB"))
    assert (pixels != 255).any()
    assert all((edge == 255).all() for edge in (pixels[:9], pixels[-9:], pixels[:, :9], pixels[:, -9:]))


def test_what_cannot_be_drawn_is_refused() -> None:
    """A network without parts."""
    with pytest.raises(ValueError, match="expected at least one, found none"):
        draw_network([], "t")


def test_rounded_boxes_are_of_the_size_that_is_planned() -> None:
    """The padding that matplotlib adds by itself would let neighbours touch."""
    box = boxes(_figure([FROZEN], "t"))["part-0"]
    assert isinstance(box, FancyBboxPatch)
    assert box.get_path().get_extents().size == pytest.approx(_BOX)
