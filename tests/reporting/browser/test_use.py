"""The page can be used: with a mouse, a finger or the keyboard alone, it lists the images that were asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helpers.browser import PHONE, Visit

Open = Callable[..., Visit]


def listed(seen: Visit, panel: str) -> list[int]:
    """The places of the images in a list, all pages of it."""
    more = seen.page.locator(f"{panel} .more")
    while more.is_visible():
        more.click()
    return seen.page.locator(f"{panel} .card").evaluate_all("all => all.map((one) => Number(one.dataset.image))")


def data_of(seen: Visit) -> dict[str, Any]:
    return seen.page.evaluate("JSON.parse(document.getElementById('page-data').textContent)")


def drag(seen: Visit, places: list[tuple[float, float]]) -> None:
    """Draw with the mouse through places that are shares of the map."""
    seen.page.locator("#map-canvas").scroll_into_view_if_needed()
    box = seen.page.locator("#map-canvas").bounding_box()
    assert box
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    seen.page.mouse.move(*points[0])
    seen.page.mouse.down()
    for point in points[1:]:
        seen.page.mouse.move(*point, steps=4)
    seen.page.mouse.up()


def test_a_cell_lists_its_images(visit: Open) -> None:
    """As many as it says, of its class and its answer, of the split of the matrix; a second click closes the list."""
    seen = visit()
    data, split = data_of(seen), seen.page.get_attribute("#matrix", "data-split")
    for cell in seen.page.locator("#matrix .cell").all():
        cell.click()
        found = listed(seen, "#confusion-list")
        label, answer = (int(str(cell.get_attribute(f"data-{of}"))) for of in ("label", "answer"))
        assert found == [
            i
            for i in range(len(data["path"]))
            if (data["label"][i], data["answer"][i], data["splits"][data["split"][i]]) == (label, answer, split)
        ]
        assert str(len(found)) == cell.inner_text()
        assert seen.count("#matrix [aria-pressed=true]") == 1
    cell.click()
    assert not seen.page.locator("#confusion-list").is_visible()
    assert seen.count("#matrix [aria-pressed=true]") == 0


def test_classes_that_are_too_many_for_a_matrix_are_listed_by_pairs(visit: Open) -> None:
    seen = visit("many")
    cell = seen.page.locator("#matrix .cell").first
    cell.click()
    assert f" {len(listed(seen, '#confusion-list'))} of " in cell.inner_text()


def test_the_map_is_coloured_by_what_is_chosen(visit: Open) -> None:
    """The legend names it, and a name in it can be shown alone."""
    seen = visit()
    drawn = "document.getElementById('map-canvas').toDataURL()"
    data, before = data_of(seen), seen.page.evaluate(drawn)
    for by in ("answer", "split", "label"):
        seen.page.select_option("#map-colour", by)
        coloured = seen.page.evaluate(drawn)
        assert coloured != before
        assert seen.texts("#map-legend button") == (data["splits"] if by == "split" else data["classes"])
        seen.page.locator("#map-legend button").first.click()
        before = seen.page.evaluate(drawn)
        assert before != coloured


def test_a_lasso_lists_what_is_inside(visit: Open) -> None:
    """All images, those of the left half, and none."""
    seen = visit()
    data, page = data_of(seen), seen.page
    width = page.locator("#map-canvas").evaluate("one => one.clientWidth")
    drag(seen, [(0.002, 0.002), (0.998, 0.002), (0.998, 0.998), (0.002, 0.998)])
    assert listed(seen, "#map-list") == [*range(len(data["path"]))]
    drag(seen, [(0.002, 0.002), (0.5, 0.002), (0.5, 0.998), (0.002, 0.998)])
    left = [i for i, x in enumerate(data["x"]) if 14 + x * (width - 28) < width / 2]
    assert 0 < len(left) < len(data["path"])
    assert listed(seen, "#map-list") == left
    assert seen.text("#map-list h3") == f"{len(left)} images from the map"
    drag(seen, [(0.001, 0.001), (0.004, 0.001), (0.004, 0.004), (0.001, 0.004)])
    assert seen.text("#map-list h3") == "0 images from the map"


def test_a_dot_shows_its_image(visit: Open) -> None:
    """Next to it, inside the map."""
    seen = visit()
    data, page = data_of(seen), seen.page
    canvas = page.locator("#map-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    for i in (0, max(range(len(data["x"])), key=lambda i: data["x"][i])):
        x, y = (14 + data["x"][i] * (box["width"] - 28), box["height"] - 14 - data["y"][i] * (box["height"] - 28))
        page.mouse.move(box["x"] + x, box["y"] + y, steps=2)  # a first step alone may be the page that moved
        assert data["path"][i] in seen.text("#map-hover")
        hover = page.locator("#map-hover").bounding_box()
        assert hover
        assert box["x"] <= hover["x"] and hover["x"] + hover["width"] <= box["x"] + box["width"] + 2
    page.mouse.move(box["x"] - 30, box["y"])
    assert not page.locator("#map-hover").is_visible()


def test_a_finger_draws_after_lasso_only(visit: Open) -> None:
    """Before, it scrolls the page."""
    seen = visit(viewport=PHONE, has_touch=True)
    canvas = seen.page.locator("#map-canvas")
    action = "one => getComputedStyle(one).touchAction"
    assert canvas.evaluate(action) == "auto"
    seen.page.tap("#map-lasso")
    assert canvas.evaluate(action) == "none"
    drag(seen, [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)])
    assert seen.text("#map-list h3") == "60 images from the map"


def test_the_form_lists_without_the_map(visit: Open) -> None:
    seen = visit()
    data = data_of(seen)
    seen.page.select_option("#filter-label", "1")
    seen.page.select_option("#filter-split", label="test")
    seen.page.check("#filter-wrong")
    seen.page.click("#filter button[type=submit]")
    test = data["splits"].index("test")
    assert listed(seen, "#map-list") == [
        i
        for i in range(len(data["path"]))
        if (data["label"][i], data["split"][i]) == (1, test) and data["answer"][i] != 1
    ]
    assert str(seen.page.locator("#status").text_content()) == seen.text("#map-list h3")  # a screen reader says it


def test_the_keyboard_reaches_and_does_all(visit: Open) -> None:
    """Tab goes to every control in the order of the page, and what has the focus can be seen to have it."""
    seen = visit("small")
    page = seen.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "summary"
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    controls = page.locator("a, button, select, input, summary, canvas").evaluate_all(
        """all => all.filter((one) => one.checkVisibility()).map((one, place) => {
          one.dataset.stop = place;
          return place;
        })"""
    )
    page.evaluate("document.querySelector('.skip').focus()")
    reached, outlines = [0], []
    for _ in range(3 * len(controls)):
        page.keyboard.press("Tab")
        stop, outline = page.evaluate(
            "[document.activeElement.dataset.stop ?? null, getComputedStyle(document.activeElement).outlineStyle]"
        )
        if stop == "0" or page.evaluate("document.activeElement === document.body"):
            break
        if stop is not None:
            reached.append(int(stop))
            outlines.append(outline)
    assert reached == controls
    assert "none" not in outlines


def test_the_keyboard_walks_over_the_map(visit: Open) -> None:
    """Arrows go to the next image and tell it, Enter lists it, Escape leaves it."""
    seen = visit()
    data, page = data_of(seen), seen.page
    page.focus("#map-canvas")
    told = []
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        told.append(str(page.locator("#status").text_content()))
    places = [next(i for i, path in enumerate(data["path"]) if path in text) for text in told]
    assert len(set(places)) == 3
    assert [data["x"][i] for i in places] == sorted(data["x"][i] for i in places)
    page.keyboard.press("Enter")
    assert listed(seen, "#map-list") == places[-1:]
    page.focus("#map-canvas")
    page.keyboard.press("Escape")
    assert not page.locator("#map-hover").is_visible()


def test_a_cell_answers_to_the_keyboard(visit: Open) -> None:
    seen = visit()
    seen.page.locator("#matrix .cell").first.focus()
    seen.page.keyboard.press("Enter")
    assert seen.page.locator("#confusion-list .card").first.is_visible()


def test_heat_maps_can_be_switched_off(visit: Open) -> None:
    """To see the image below them."""
    page = visit().page
    heat = page.locator("#wrong .tile.heat").first
    assert heat.is_visible()
    page.click("#heat")
    assert not heat.is_visible()
    page.click("#heat")
    assert heat.is_visible()


def test_a_list_that_comes_is_seen(visit: Open) -> None:
    """Below the map it may be outside the window: then the page moves to its first images."""
    seen = visit(viewport={"width": 1200, "height": 700})
    drag(seen, [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)])
    image = seen.page.locator("#map-list .picture").first.bounding_box()
    assert image and image["y"] + image["height"] <= 700
