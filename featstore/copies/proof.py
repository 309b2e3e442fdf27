"""The proof of the rule on a user's own images: are changed copies of them found, and nothing else?

Some images are copied in four ways, and each copy is compared with its original and with the pictures that are nearest
to it otherwise. It is about the pixels, which decide; that features or hashes propose the pair is not part of it, as
the features of the copies would take a run of the base.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from featstore.copies.groups import THRESHOLD, SamePictures
from featstore.copies.sketch import Sketch, grey_of
from featstore.datasets.manifest import Manifest, Picture
from featstore.errors import DataError
from featstore.extraction.cache import Cache
from featstore.extraction.plan import Plan
from featstore.images.decode import decode_rgb
from featstore.images.prefetch import read_again
from featstore.system.text import count

if TYPE_CHECKING:
    from PIL import Image

IMAGES = 25  # that are copied: 1 to 2 s
_OTHERS = 5  # pictures that each copy is compared with, apart from its original
_LOWEST, _HIGHEST = 0.83, 0.95  # to which the threshold may move; in a set of aligned faces, others fit with up to 0.82
_MARGIN = 0.02  # between the scores of copies and of other pictures, for a threshold to go there


@dataclass(frozen=True)
class Proof:
    """How copies of some images of a data set fare under the rule.

    Attributes:
        images: Number of images that were copied.
        scores: By kind of copy, the score of each with its original.
        others: The scores of the copies with pictures that their originals do not match. They cannot tell whether a
            picture that an original does match is the same one: that takes an eye.
        threshold: The one that these scores speak for, see `_threshold`.
    """

    images: int
    scores: Mapping[str, Sequence[float]]
    others: Sequence[float]
    threshold: float

    def found(self, threshold: float = THRESHOLD) -> dict[str, int]:
        """Return how many copies of each kind are found."""
        return {kind: sum(score >= threshold for score in scores) for kind, scores in self.scores.items()}

    def false(self, threshold: float = THRESHOLD) -> int:
        """Return how many other pictures are taken for the same."""
        return sum(score >= threshold for score in self.others)

    def sentence(self, threshold: float = THRESHOLD) -> str:
        """Return the proof in one sentence."""
        found, n = self.found(threshold), self.images
        kinds = ", ".join(f"{kind}: {number}" for kind, number in found.items())
        return (
            f"of {n * len(found):,} copies made of {count(n, 'image')} of this set, "
            f"{sum(found.values()):,} are found ({kinds} of {n} each), and {self.false(threshold):,} of "
            f"{count(len(self.others), 'comparison')} of them with pictures unlike the original are taken for copies"
        )

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "images": self.images,
            "found": self.found(self.threshold),
            "others": len(self.others),
            "false": self.false(self.threshold),
            "threshold": self.threshold,
        }


def prove_rule(
    manifest: Manifest,
    plans: Sequence[Plan],
    cache: Cache,
    sketches: Mapping[str, Sketch],
    copies: SamePictures,
    seed: int = 0,
) -> Proof:
    """Make copies of some training images, drawn by `seed`, and score them by the rule of `find_copies`.

    sketches, copies: what it found. Images without a split count as training images; test images choose nothing.
    """
    import numpy as np

    from featstore.features.views import load_plain

    known = {p.digest: p for p in manifest.pictures if p.split in ("train", None) and p.digest in sketches}
    digests = sorted(known)
    drawn = np.random.default_rng(seed).permutation(len(digests))[:IMAGES].tolist()
    units = copies.unit_names([known[digest]._replace(group=None) for digest in digests])
    X = load_plain([known[digest] for digest in digests], plans[:1], cache)
    X = X - X.mean(axis=0)
    X /= np.maximum(np.linalg.norm(X, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    kinds: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    others: list[float] = []
    for number in drawn:
        made = _copies(known[digests[number]], sketches[digests[number]])
        nearest = [other for other in np.argsort(-(X @ X[number])).tolist() if units[other] != units[number]][:_OTHERS]
        compared = [sketches[digests[other]] for other in (number, *nearest)]
        for kind, scores in zip(made, _scores(list(made.values()), compared), strict=True):
            kinds[kind].append(scores[0])
            others += scores[1:]
    images = len(kinds[next(iter(kinds))])
    return Proof(images, kinds, others, _threshold([score for some in kinds.values() for score in some], others))


def _threshold(copies: Sequence[float], others: Sequence[float]) -> float:
    """Return where to draw the line between `copies` and `others`.

    It stays at 0.85 unless that fails here: more than one copy in twenty is below it, or another picture is above. Then
    it moves halfway between these copies and the most alike other picture, but not beyond 0.83 and 0.95, and only if
    there is room between the two. Scores have the same meaning in all sets, so a handful of copies is a weaker witness
    than the sets that the threshold was chosen on, and moves it only where it contradicts them.
    """
    if not copies or not others:
        return THRESHOLD
    low, high = sorted(copies)[len(copies) // 20], max(others)
    if high < THRESHOLD <= low or low - high < _MARGIN:
        return THRESHOLD
    return round(min(max((low + high) / 2, _LOWEST), _HIGHEST), 3)


def _scores(made: Sequence[Sketch], compared: Sequence[Sketch]) -> list[list[float]]:
    """Return the score of each sketch in `made` with each in `compared`; 0 where the coarse comparison rules it out."""
    import numpy as np

    from featstore.copies.near import Versions, not_ruled_out, score
    from featstore.copies.pairs import Pairs
    from featstore.copies.turns import MIRRORED, UPRIGHT
    from featstore.copies.unions import Unions

    sketches, n = [*made, *compared], len(made)
    versions = Versions.of(sketches)
    first, second, turn = (grid.ravel() for grid in np.mgrid[:n, n : len(sketches), UPRIGHT : MIRRORED + 1 : MIRRORED])
    scores = np.zeros((n, len(compared)))
    for some in not_ruled_out(versions, Pairs(first, second, turn), Unions(len(sketches))):
        for near in score(versions, some):
            scores[near.first, near.second - n] = max(scores[near.first, near.second - n], near.score)
    return [list(map(float, row)) for row in scores]


def _copies(picture: Picture, sketch: Sketch) -> dict[str, Sketch]:
    """Return the sketch of each kind of copy of an image; none if its file is gone."""
    try:
        image = decode_rgb(read_again(picture))
    except DataError:
        return {}
    made = {kind: change(image) for kind, change in _KINDS.items()}
    return {
        kind: sketch._replace(
            grey=grey_of(copy), facts=sketch.facts._replace(width=copy.width, height=copy.height), pixels=""
        )
        for kind, copy in made.items()
    }


def _as_jpeg(image: Image.Image) -> Image.Image:
    file = BytesIO()
    image.save(file, "JPEG", quality=60)
    return decode_rgb(file.getvalue())


def _mirrored(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.mirror(image)


def _cropped(image: Image.Image) -> Image.Image:
    width, height = round(0.9 * image.width), round(0.9 * image.height)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _brighter(image: Image.Image) -> Image.Image:
    from PIL import ImageEnhance

    return ImageEnhance.Brightness(image).enhance(1.2)


_KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 60": _as_jpeg,
    "mirrored": _mirrored,
    "cropped to 90 %": _cropped,
    "brighter": _brighter,
}
