"""Which images a page shows: those to look at first, and of a large data set a sample like the whole."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np

from featstore.datasets.manifest import Picture
from featstore.reporting.choice import choose_galleries, choose_sample
from featstore.runs.image_answers import ImageAnswers
from featstore.system.files import FileStat

STATE = FileStat(0, 0, 0, 0)


def answers(*rows: tuple[str, str | None, float]) -> ImageAnswers:
    """The answers to images of two classes, from their split, their label and the probability of `a`."""
    splits, labels, shares = zip(*rows, strict=True)
    probabilities = np.array([[share, 1 - share] for share in shares])
    return ImageAnswers(("a", "b"), tuple(f"{n}.png" for n in range(len(rows))), splits, labels, probabilities)


def test_wrong_answers_come_the_surest_first_and_unsure_ones_the_least_sure() -> None:
    found = choose_galleries(
        answers(
            ("test", "a", 0.4),
            ("test", "a", 0.1),
            ("test", "b", 0.45),
            ("val", "a", 0.9),
            ("new", None, 0.55),
        ),
        None,
    )
    assert found.wrong == [1, 0]
    assert found.unsure == [2, 4, 3]
    assert found.explained == [1, 0, 2, 4, 3]


def test_images_that_were_trained_on_are_in_no_gallery() -> None:
    """The head has seen their labels: its answers to them say little."""
    found = choose_galleries(answers(("train", "a", 0.1), ("train", "a", 0.5), ("test", "a", 0.8)), None)
    assert (found.wrong, found.unsure) == ([], [2])


def pictures(sizes: dict[tuple[str, str], int]) -> list[Picture]:
    found = []
    for (label, split), size in sizes.items():
        for number in range(size):
            digest = f"{random.Random(f'{label}{split}{number}').getrandbits(256):064x}"
            found.append(Picture(f"{label}/{split}/{number}.png", STATE, label, split, known_digest=digest))
    return found


SIZES = {("a", "train"): 600, ("a", "test"): 200, ("b", "train"): 150, ("b", "test"): 50}


def test_a_sample_has_the_same_share_of_each_class_and_split() -> None:
    some = pictures(SIZES)
    chosen = [some[place] for place in choose_sample(some, [], 100)]
    assert Counter((p.label, p.split) for p in chosen) == {key: size // 10 for key, size in SIZES.items()}


def test_a_sample_keeps_what_is_to_be_looked_at() -> None:
    some = pictures(SIZES)
    chosen = choose_sample(some, [999, 3, 4], 100)
    assert {3, 4, 999} <= {*chosen}
    assert chosen == sorted({*chosen})
    assert len(chosen) == 100


def test_the_order_of_the_images_does_not_matter() -> None:
    some = pictures(SIZES)
    mixed = random.Random(0).sample(some, len(some))
    assert {some[place] for place in choose_sample(some, [], 100)} == {mixed[p] for p in choose_sample(mixed, [], 100)}


def test_a_small_data_set_is_shown_whole() -> None:
    some = pictures(SIZES)
    assert choose_sample(some, [5], 1000) == list(range(1000))
