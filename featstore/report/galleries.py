"""Which images a reader should look at: those with a wrong answer, and those with an unsure one."""

from __future__ import annotations

from collections.abc import Sequence

from featstore.report.content import ReportImage

MOST = 24  # images in a gallery


def wrong(images: Sequence[ReportImage]) -> list[int]:
    """Return the places of the images with a wrong answer, the surest first: the likeliest to have a wrong label.

    Training images are left out, as the head has seen their labels.
    """
    return sorted((i for i in _held_out(images) if images[i].is_wrong), key=lambda i: -images[i].probability)


def unsure(images: Sequence[ReportImage]) -> list[int]:
    """Return the places of the other images whose answer has several classes, the least sure first."""
    places = (i for i in _held_out(images) if len(images[i].answers) > 1 and not images[i].is_wrong)
    return sorted(places, key=lambda i: images[i].probability)


def _held_out(images: Sequence[ReportImage]) -> list[int]:
    return [place for place, image in enumerate(images) if image.split != "train"]
