"""Words as people write them: one name in another spelling, and what a name of another tool means here."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# What an option is called in other tools and posts, and the options here that may be meant, the likeliest first.
_MEANINGS = {
    ("lr", "learning-rate"): ("rate",),
    ("arch", "architecture", "backbone", "base", "network", "net"): ("model",),
    ("image-size", "img-size", "imgsz", "target-size", "input-size", "input-shape", "resolution"): ("size",),
    ("output", "out", "o", "output-dir", "out-dir", "outdir", "save", "save-dir", "save-to"): ("runs", "csv", "folder"),
    ("batch-size", "bs"): ("batch",),
    ("dropout", "drop", "drop-rate", "dropout-rate"): ("p",),
    ("hidden", "hidden-units", "dense"): ("units",),
    ("preprocessing", "preprocess-input", "normalize", "normalise", "normalization", "rescale"): ("preprocess",),
    ("classifier", "clf", "top"): ("head",),
    ("pooling",): ("pool",),
    ("crop", "resize-mode", "crop-to-aspect-ratio"): ("fit",),
    ("filter", "resample", "resampling"): ("interpolation",),
    ("tta", "crops", "ten-crop"): ("views",),
    ("augmentation", "aug", "data-augmentation"): ("augment", "views"),
    ("cv", "kfold", "k-fold", "n-folds", "n-splits", "cross-validation"): ("folds",),
    ("random-state", "random-seed"): ("seed",),
    ("repeats", "n-seeds"): ("seeds",),
    ("validation-split", "validation-fraction", "val-split", "val-size"): ("val-fraction",),
    ("test-split", "test-size"): ("test-fraction",),
    ("width", "width-multiplier"): ("alpha",),
    ("checkpoint", "ckpt", "pretrained", "weights-file", "weights-path"): ("weights",),
    ("plot", "figure", "png"): ("chart",),
    ("param", "params", "parameter", "parameters", "head-args"): ("set",),
    ("early-stopping",): ("patience",),
    ("opt",): ("optimizer",),
    ("unfreeze-layers", "trainable", "freeze", "n-blocks"): ("unfreeze", "blocks"),
    ("cache-dir", "cache-folder"): ("cache",),
    ("silent", "q"): ("quiet",),
    ("regularization", "reg", "l2"): ("C",),
}


def plain(text: str) -> str:
    """Return the letters and digits of `text` in lower case."""
    return "".join(filter(str.isalnum, text.casefold()))


_MEANT = {plain(word): options for words, options in _MEANINGS.items() for word in words}


def spelled_as(text: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `text` is in another case, or with other dashes and blanks; None if there is none.

    A name that is written as it is known is always itself.
    """
    names = list(known)
    if text in names:
        return text
    return next((name for name in names if plain(name) == plain(text)), None) if plain(text) else None


def meant_by(text: str, known: Iterable[str]) -> list[str]:
    """Return those of `known` that `text` may mean: by its spelling, its meaning in other tools, or its letters."""
    names = list(known)
    same = spelled_as(text, names)
    if same is not None:
        return [same]
    by_meaning = [name for option in _MEANT.get(plain(text), ()) if (name := spelled_as(option, names))]
    return by_meaning or get_close_matches(text, names, 2)


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return a question for what `text` may mean of `known`, as in "did you mean rate?"; empty if nothing is near."""
    near = meant_by(text, known)
    return f"did you mean {' or '.join(near)}?" if near else ""
