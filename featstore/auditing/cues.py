"""Cues: what is known of an image without what it shows, as columns of numbers that a tree can divide."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, NamedTuple

from featstore.datasets.labels import clean_label
from featstore.datasets.manifest import Picture
from featstore.datasets.split_names import split_named
from featstore.images.facts import ImageFacts
from featstore.objects.places import below, tops_of
from featstore.system.member_paths import unpacked_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Columns = dict[str, "NDArray[np.float64]"]

# file: a network sees the effect in the pixels, and it says nothing about what is shown. shape: likewise, but where
# objects were cut out it is that of the objects. content: it is what is shown, such as snow. path: no network sees it.
Role = Literal["file", "shape", "content", "path"]

_RARE = 0.01  # a value in fewer images than this tells nothing about a class
_MOST_VALUES = 24  # of one cue: the most frequent ones
_SHORTEST = 3  # letters of a word that is looked for within another: `a` is in half of all words


class Cue(NamedTuple):
    """What one fact says of n images. columns: (n,) numbers by name; 0 and 1 where the name is true or not."""

    name: str
    role: Role
    columns: Columns

    @property
    def varies(self) -> bool:
        """Whether any two images differ."""
        return any(values.min() < values.max() for values in self.columns.values())

    def values(self) -> NDArray[np.float32]:
        """Return the columns side by side, (n, columns), in the type that trees compute with."""
        import numpy as np

        return np.column_stack(list(self.columns.values())).astype(np.float32)


def cues_of(pictures: Sequence[Picture], facts: Sequence[ImageFacts], source: str) -> list[Cue]:
    """Return the cues of labelled images that differ between images; of two that tell the same, the plainer is first.

    The size of a file is left out: it measures a busy background. source: the folder that paths are told below.
    """
    tops = tops_of(source)
    paths = [PurePath(below(unpacked_path(picture.path), *tops)) for picture in pictures]
    labels = {picture.class_name for picture in pictures}
    cues = [
        Cue("format of the file", "file", _yes_or_no(f.format for f in facts)),
        Cue("colour", "file", {"grey": _numbers(f.grey for f in facts)} | _yes_or_no(_mode(f) for f in facts)),
        Cue("camera", "file", _yes_or_no(f.camera or "no camera named" for f in facts)),
        Cue(
            "size in pixels", "file", {side: _numbers(getattr(f, side) for f in facts) for side in ("width", "height")}
        ),
        Cue("width by height", "shape", {"width by height": _numbers(f.width / f.height for f in facts)}),
        Cue("JPEG quality", "file", _qualities(facts)),
        Cue("border", "file", _borders(facts)),
        Cue("brightness", "content", _look(facts)),
        Cue("folder", "path", _yes_or_no(_folder(path, labels) for path in paths)),
        Cue("file name", "path", _names(paths, labels)),
    ]
    return [cue for cue in cues if cue.columns and cue.varies]


def _numbers(values: Iterable[float]) -> NDArray[np.float64]:
    import numpy as np

    return np.array(list(values), float)


def _yes_or_no(values: Iterable[str]) -> Columns:
    """Return a column of 0 and 1 for each value that is neither rare nor in all images."""
    return _each_or_none([{value} for value in values])


def _each_or_none(sets: Sequence[set[str]]) -> Columns:
    """Return a column of 0 and 1 for each value: whether an image has it. There may be several in an image."""
    shares = Counter(value for values in sets for value in values)
    least = max(1.0, _RARE * len(sets))
    told = [value for value, number in shares.most_common(_MOST_VALUES) if least <= number < len(sets)]
    return {value: _numbers(value in values for values in sets) for value in sorted(told)}


def _mode(facts: ImageFacts) -> str:
    return f"mode {facts.mode}"


def _qualities(facts: Sequence[ImageFacts]) -> Columns:
    """Return the qualities; other formats have the middle one, since the format is a cue of its own."""
    import numpy as np

    known = [f.quality for f in facts if f.quality is not None]
    middle = float(np.median(known)) if known else 0.0
    return {"JPEG quality": _numbers(middle if f.quality is None else f.quality for f in facts)}


def _borders(facts: Sequence[ImageFacts]) -> Columns:
    return {
        "white border": _numbers(f.white_border for f in facts),
        "black border": _numbers(f.black_border for f in facts),
    }


def _look(facts: Sequence[ImageFacts]) -> Columns:
    return {
        "mean brightness": _numbers(f.mean for f in facts),
        "range of brightness": _numbers(f.high - f.low for f in facts),
    }


def _folder(path: PurePath, labels: set[str]) -> str:
    """Return the folders on the way to an image, without those that name a label or a split."""
    kept = [part for part in path.parent.parts if clean_label(part) not in labels and split_named(part) is None]
    return "/".join(kept) or "no folder"


def _names(paths: Sequence[PurePath], labels: set[str]) -> Columns:
    """Return which words the names have, without the words of labels, and the last number in each name."""
    of_labels = {word for label in labels for word in _words(label)}
    words = [{word for word in _words(path.stem) if not _is_of_label(word, of_labels)} for path in paths]
    named = {f"{word!r} in the name": values for word, values in _each_or_none(words).items()}
    return {"last number in the name": _numbers(_last_number(path.stem) for path in paths)} | named


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.casefold())


def _is_of_label(word: str, of_labels: set[str]) -> bool:
    """Whether a word is one of a label, or a form of it: `cat` in a name is that of `cats`."""
    return any(
        word == other or (min(len(word), len(other)) >= _SHORTEST and (word in other or other in word))
        for other in of_labels
    )


def _last_number(text: str) -> float:
    digits = re.findall(r"\d+", text)
    return float(digits[-1][-15:]) if digits else -1.0
