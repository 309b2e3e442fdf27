"""Image problems: files that are too small, dark, bright, even or long to show what their label says.

Facts have fixed limits, and are counted. Sharpness and darkness have none: a smooth sky is not blurred, and a flower on
black is not dark. So of these the last dozen is listed, to be looked at.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from featstore.auditing.findings import Check, Finding
from featstore.auditing.subject import Subject
from featstore.datasets.manifest import Picture
from featstore.images.facts import ImageFacts
from featstore.system.text import count, listed

DOZEN = 12
SMALL = 64  # px of the shorter side
OF_INPUT = 4  # a side this many times smaller than the input has little to show
LONG = 3.0  # longer side by shorter side
FLAT = 40  # levels between the brightest and the darkest pixels
DARK = 30  # mean brightness, where nothing is well lit: a flower on black is fine
LIT = 100  # brightness of the brightest pixels of a dark image, at most
_SOME = 50  # images, of which a tenth can be ranked
_USUAL = 0.2  # share of all images from which a problem is how the set is, such as digits of 28 px
_CONCENTRATED, _TIMES = 5, 1.5  # images of one class, and times its share, from which a problem is of the class
_SIGMAS = 3.0  # by which their number exceeds that of chance


class _Seen(NamedTuple):
    picture: Picture
    facts: ImageFacts


class _Fact(NamedTuple):
    """A problem with a fixed limit. severity: 1 at the limit, more beyond it. text: what is found, in words."""

    kind: str
    severity: Callable[[ImageFacts], float]
    text: Callable[[ImageFacts], str]


class _Rank(NamedTuple):
    """A look of which the last dozen is listed. value: the smallest are listed."""

    kind: str
    value: Callable[[ImageFacts], float]
    text: Callable[[ImageFacts], str]


def check_problems(subject: Subject) -> Check:
    """List the images that may not show what their label says."""
    seen = [
        _Seen(picture, subject.sketches[picture.digest].facts)
        for picture in subject.manifest.pictures
        if picture.digest in subject.sketches
    ]
    reading = subject.prepared.plans[0].spec.reading
    found: dict[str, list[_Seen]] = {}
    usual: list[str] = []
    findings: list[Finding] = []
    for fact in _facts(min(reading.height, reading.width)):
        images = [image for image in seen if fact.severity(image.facts) >= 1]
        found[fact.kind] = images
        if images and len(images) >= _USUAL * len(seen):
            usual.append(fact.kind)
        else:
            findings += [_finding(image, fact.kind, fact.severity(image.facts), fact.text) for image in images]
    findings = _by_image(findings)
    single = {kind: images for kind, images in found.items() if images and kind not in usual}
    known = {path for finding in findings for path in finding.paths}
    ranked = [finding for rank in _RANKS for finding in _last(rank, [s for s in seen if s.picture.path not in known])]
    return Check(
        name="problems",
        title="Image problems",
        weight="look" if single else "note" if usual or ranked else "fine",
        verdict=_verdict(single, {kind: found[kind] for kind in usual}, ranked, seen),
        findings=(*findings, *ranked),
        figures={
            "images": len(seen),
            **{kind.replace("-", "_"): len(images) for kind, images in found.items()},
            "usual": usual,
        },
    )


def _verdict(
    single: Mapping[str, Sequence[_Seen]],
    usual: Mapping[str, Sequence[_Seen]],
    ranked: Sequence[Finding],
    seen: Sequence[_Seen],
) -> str:
    """Return the numbers of each kind, what is so of the whole set, and where a kind is that of one class."""
    parts = [f"{len(images):,} {kind}{_concentrated(images, seen)}" for kind, images in single.items()]
    of_all = [
        f"{'all' if len(images) == len(seen) else f'{len(images):,}'} are {kind}{_concentrated(images, seen)}"
        for kind, images in usual.items()
    ]
    whole = f"; {listed(of_all)}, which is how the set is" if of_all else ""
    dozens = Counter(finding.kind for finding in ranked)
    looks = listed([f"the {number} {kind}" for kind, number in dozens.items()])
    images = count(len(seen), "image")
    begins = f"{listed(parts, 8)} of {images}" if parts else f"none of {images} stands out"
    return begins + whole + (f"; to look at: {looks}, which may be fine" if looks else "")


def _concentrated(images: Sequence[_Seen], seen: Sequence[_Seen]) -> str:
    """Return the class that has far more than its share of the images, in brackets; nothing if none has."""
    of_class = Counter(image.picture.label for image in seen)
    for label, number in Counter(image.picture.label for image in images).most_common():
        share = of_class[label] / len(seen)
        expected = share * len(images)
        if label is None or number < _CONCENTRATED or number < _TIMES * expected:
            continue
        if number - expected > _SIGMAS * math.sqrt(expected * (1 - share)):
            return f" ({number:,} of them {label})"
    return ""


def _facts(input_side: int) -> tuple[_Fact, ...]:
    """Return the problems with fixed limits; what is too small depends on the side of the network's input."""
    least = max(SMALL, input_side / OF_INPUT)
    return (
        _Fact("tiny", lambda f: _beyond(least, min(f.width, f.height)), lambda f: f"{f.width} x {f.height} px"),
        _Fact(
            "odd-shaped",
            lambda f: _beyond(1 / LONG, 1 / _aspect(f)),
            lambda f: f"{f.width} x {f.height} px, {_aspect(f):.1f} to 1",
        ),
        _Fact(
            "near-constant", lambda f: _beyond(FLAT, f.high - f.low), lambda f: f"{f.high - f.low:.0f} of 255 levels"
        ),
        _Fact("dark", lambda f: _without_light(f.mean, f.high), _brightness),
        _Fact("bright", lambda f: _without_light(255 - f.mean, 255 - f.low), _brightness),
    )


def _beyond(limit: float, value: float) -> float:
    """Return how many times smaller than the limit a value is; a value at the limit is not beyond it."""
    return limit / max(value, limit / 100) if value < limit else 0.0


def _without_light(mean: float, brightest: float) -> float:
    return _beyond(DARK, mean) if brightest < LIT else 0.0


def _brightness(facts: ImageFacts) -> str:
    return f"mean brightness {facts.mean:.0f} of 255, most pixels {facts.low:.0f} to {facts.high:.0f}"


def _sharpness(facts: ImageFacts) -> float:
    """Return the sharpness of the edges, were the contrast the same in all images."""
    return facts.sharpness - 2 * math.log(max(facts.high - facts.low, 1))


_RANKS = (
    _Rank("least sharp", _sharpness, lambda f: f"sharpness {_sharpness(f):.1f}"),
    _Rank("darkest", lambda f: f.high, lambda f: f"99 % of the pixels at most {f.high:.0f} of 255"),
)


def _aspect(facts: ImageFacts) -> float:
    return max(facts.width, facts.height) / min(facts.width, facts.height)


def _finding(image: _Seen, kind: str, score: float, text: Callable[[ImageFacts], str]) -> Finding:
    return Finding((image.picture.path,), f"{kind}: {text(image.facts)}", round(score, 4), kind)


def _by_image(findings: Sequence[Finding]) -> list[Finding]:
    """Return one finding for each image, with the kind of its worst problem, and the worst image first."""
    of_image: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    for finding in sorted(findings, key=lambda finding: -finding.score):
        of_image[finding.paths].append(finding)
    return [some[0]._replace(text="; ".join(finding.text for finding in some)) for some in of_image.values()]


def _last(rank: _Rank, seen: Sequence[_Seen]) -> Iterator[Finding]:
    """Yield the last dozen by a look, or a tenth of few images, with scores below those of all facts."""
    order = sorted(seen, key=lambda image: (rank.value(image.facts), image.picture.path))
    for place, image in enumerate(order[: min(DOZEN, len(seen) // 10)] if len(seen) >= _SOME else []):
        yield _finding(image, rank.kind, 1 - (place + 1) / (DOZEN + 1), rank.text)
