"""`featstore explain` on photos of cats and dogs: whether heat maps show what the answers rest on, for every method.

The hottest fifth of the cells is blurred in the image, which then goes through the whole pipeline again; so is a fifth
drawn at random. Then the weights are randomised (Adebayo et al. 2018), those of the head, and those of the base from
its top down: a map that stays as it was does not depend on what was learnt.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

IMAGES, EACH = 60, 3  # images that are explained; random fifths of each
HEADS = ("logistic", "ridge", "mlp", "rbf-svm", "knn", "random-forest")
SHARE = 5  # a fifth


def measure_explain(data: Path, scratch: Path) -> None:
    """Print a row for each head and method, then how maps change as the base is randomised."""
    from featstore import fine_tune, scan, train_head

    photos = data / "images" / "cats_dogs"
    base = {"model": "MobileNet", "alpha": 0.75, "size": 224}
    base["weights"] = str(data / "weights" / "mobilenet_7_5_224_tf_no_top.h5")
    places = {"cache": scratch / "cache", "runs": scratch / "runs"}
    test = scan(photos).of_split("test")
    images = [picture.path for picture in test[:: len(test) // IMAGES]][:IMAGES]
    runs = [train_head(photos, head, **base, **places) for head in HEADS]
    runs.append(fine_tune(runs[0], photos, blocks=1, epochs=3, **places).run)
    print(f"  {'head':14} {'method':10}  s/image  hottest  random  difference (95 %)    of 60   occlusion  other head")
    for run in runs:
        _measure_run(run, images, scratch / "cache")
    _randomise_base(runs[0], images, base)
    _measure_cue(scratch)


def _measure_run(run, images, cache, without=()) -> None:
    from scipy.stats import spearmanr

    from featstore import explain
    from featstore.errors import UsageError
    from featstore.explanation.result import METHODS

    deletion = Deletion(run, images, cache)
    found = {}
    for method in reversed(METHODS):  # occlusion first: the others are compared with it
        if method in without:
            continue
        try:
            explain(run, images[:1], method=method, cache=cache)  # loads what has to be
            start = time.perf_counter()
            found[method] = explain(run, images, method=method, cache=cache)
        except UsageError:
            continue
        seconds = (time.perf_counter() - start) / len(images)
        heat = [one.heat for one in found[method].explanations]
        hottest, random = deletion.fall(heat), deletion.random
        gain = hottest - random
        half = 1.96 * gain.std(ddof=1) / len(gain) ** 0.5
        pairs = zip(heat, found["occlusion"].explanations, strict=True) if "occlusion" in found else ()
        alike = np.mean([spearmanr(_coarse(a), _coarse(b.heat))[0] for a, b in pairs] or [np.nan])
        other = _with_other_weights(run)
        changed = (
            ""
            if other is None
            else _mean_correlation(found[method], explain(other, images, method=method, cache=cache))
        )
        print(
            f"  {run.head:14} {method:10}  {seconds:7.4f}  {hottest.mean():7.3f} {random.mean():7.3f}  "
            f"{gain.mean():.3f} ({gain.mean() - half:.3f} to {gain.mean() + half:.3f})  {(gain > 0).sum():3}   "
            f"{alike:9.2f}  {changed:>10}",
            flush=True,
        )


class Deletion:
    """The answers to images of which cells are blurred."""

    def __init__(self, run, images, cache) -> None:
        from featstore.explanation.occlusion import Occlusion
        from featstore.runs.predictor import Predictor

        predictor = Predictor.of(run, None, cache, None)
        [self._base] = Occlusion(predictor)._bases()
        self._run = run
        self._pixels = [self._base.read(Path(path).read_bytes()) for path in images]
        self._whole = self._answers(self._pixels)
        self._labels = self._whole.argmax(axis=1)
        rng = np.random.default_rng(0)
        self.random = np.mean([self.fall([rng.random((7, 7)) for _ in images]) for _ in range(EACH)], axis=0)

    def fall(self, heat) -> np.ndarray:
        """How far the probability of the answer falls if the hottest fifth of the cells is blurred."""
        changed = self._answers([_blur_hottest(p, h) for p, h in zip(self._pixels, heat, strict=True)])
        rows = np.arange(len(self._labels))
        return self._whole[rows, self._labels] - changed[rows, self._labels]

    def _answers(self, pixels) -> np.ndarray:
        return self._run.predict_proba(self._base.encode(np.stack(pixels)))


def _blur_hottest(image, heat):
    from scipy.ndimage import gaussian_filter

    height, width = image.shape[:2]
    smooth = gaussian_filter(image.astype(np.float32), (height / 14, width / 14, 0)).round().astype(image.dtype)
    order = heat.ravel().argsort()[::-1]
    chosen = np.zeros(heat.size, bool)
    chosen[order[: round(heat.size / SHARE)]] = True
    rows = np.arange(height) * heat.shape[0] // height
    columns = np.arange(width) * heat.shape[1] // width
    mask = chosen.reshape(heat.shape)[rows][:, columns]
    return np.where(mask[..., None], smooth, image)


def _coarse(heat):
    """Heat on 7 x 7 cells."""
    from featstore.explanation.grid import _covering

    rows, columns = heat.shape
    return (_covering(7, rows) @ heat @ _covering(7, columns).T).ravel()


def _mean_correlation(one, other) -> str:
    from scipy.stats import spearmanr

    each = [
        spearmanr(a.heat.ravel(), b.heat.ravel())[0] for a, b in zip(one.explanations, other.explanations, strict=True)
    ]
    return f"{np.mean(each):.2f}"


def _with_other_weights(run):
    """The run with the weights of its head in another order; None for a head without weights that can be mixed."""
    from dataclasses import replace

    from featstore.heads.linear_baseline import LinearBaseline

    rng = np.random.default_rng(0)
    other = replace(run)
    head = other.load_head()
    if isinstance(head, LinearBaseline):
        kept = head._fitted
        head._fitted = replace(kept, coefficients=rng.permuted(kept.coefficients, axis=1))
        return other
    network = getattr(head, "_model", None)
    if network is None:
        return None
    network.set_weights([rng.permuted(w.ravel()).reshape(w.shape) for w in network.get_weights()])
    return other


def _randomise_base(run, images, base) -> None:
    """Print the rank correlation of class activation maps as the base is randomised from its top down."""
    import keras
    from scipy.stats import spearmanr

    from featstore.engines.tensorflow import TensorFlowNetwork
    from featstore.explanation.class_activation import class_activation
    from featstore.explanation.contrast import Contrast
    from featstore.images.readers import make_reader

    spec = run.specs[0]
    read = make_reader(spec.reading)
    pixels = np.stack([read(Path(path).read_bytes()) for path in images])
    model = keras.applications.MobileNet(
        input_shape=(224, 224, 3), alpha=base["alpha"], include_top=False, weights=base["weights"]
    )
    head = run.load_head().as_linear()
    maps = TensorFlowNetwork(model, spec.preprocessing)(pixels)[0]
    contrast = Contrast.of(head.predict_proba(maps.mean(axis=(1, 2))))
    first = class_activation(head, [maps], ["avg"], contrast).cells
    rng = np.random.default_rng(0)
    layers = [layer for layer in model.layers if layer.weights and "conv" in layer.name and "bn" not in layer.name]
    for number, layer in enumerate(reversed(layers), 1):
        layer.set_weights([rng.permuted(w.ravel()).reshape(w.shape) for w in layer.get_weights()])
        if number in (1, 2, 4, 8, 16, len(layers)):
            [maps] = TensorFlowNetwork(model, spec.preprocessing)(pixels)
            changed = class_activation(head, [maps], ["avg"], contrast).cells
            each = [spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(first, changed, strict=True)]
            print(
                f"  convolutions randomised from the top: {number:2} of {len(layers)}: "
                f"rank correlation {np.nanmean(each):.2f}"
            )


def _measure_cue(scratch) -> None:
    """Print how much of the heat for `teal` lies on the twin tails of the drawings of examples/two_characters.py."""
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
    from characters import FIRST, KINDS, draw_character, write_drawings

    from featstore import explain, train_head

    folder = scratch / "characters"
    write_drawings(folder, 300)
    run = train_head(folder, model="tiny", size=64, cache=scratch / "cache", runs=scratch / "runs")
    names = sorted((folder / "test" / KINDS[0]).iterdir())
    found = explain(run, names, label=KINDS[0], cache=scratch / "cache").explanations
    ratios = []
    for number, one in enumerate(found):
        mask = _tails(draw_character, FIRST["test"] + number)
        rows, columns = one.heat.shape
        share = mask.reshape(rows, len(mask) // rows, columns, -1).mean(axis=(1, 3))
        heat = one.heat.clip(0)
        if share.any() and heat.any():
            ratios.append((heat * share).sum() / heat.sum() / share.mean())
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    print(
        f"  twin tails, {len(ratios)} drawings: as much of the heat as of the area times {middle:.2f} (half of them "
        f"{low:.2f} to {high:.2f}), accuracy {run.metrics['test'].accuracy:.3f}"
    )


def _tails(draw_character, number):
    """Which pixels (128, 128) of a drawing are twin tails: those that change if the tails have another colour."""
    import characters

    plain = np.asarray(draw_character("teal", number), int)
    draw_tail = characters.draw_tail
    try:
        characters.draw_tail = lambda pen, rng, x, sweep, length, hair, tie: draw_tail(
            pen, rng, x, sweep, length, tuple(255 - part for part in hair), tie
        )
        other = np.asarray(draw_character("teal", number), int)
    finally:
        characters.draw_tail = draw_tail
    return abs(plain - other).max(axis=2) > 8
