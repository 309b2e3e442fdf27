"""The program that calls featstore: what it has set reaches no number, and what it has is left as found."""

from __future__ import annotations

import gc
import json
import locale
import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.children import in_child
from helpers.photos import write_photos

FOR_IMPORTS = ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS", "HDF5_PLUGIN_PRELOAD")  # libraries add others themselves
HEADS = ("logistic", "bn-dropout", "vgg-fc")


def photograph() -> dict[str, Any]:
    """Return what a call might leave changed; of libraries only if they are loaded."""
    found: dict[str, Any] = {
        "environ": {name: os.environ.get(name) for name in (*FOR_IMPORTS, *os.environ)},
        "warnings": list(map(str, warnings.filters)),
        "folder": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        "streams": [id(sys.stdout), id(sys.stderr), sys.stdout.encoding],
        "collector": [gc.isenabled(), gc.get_threshold()],
        "path": list(sys.path),
        "logging": {
            name: [logger.level, len(logger.filters), len(logger.handlers), logger.propagate, logger.disabled]
            for name, logger in [("root", logging.getLogger()), *logging.Logger.manager.loggerDict.items()]
            if isinstance(logger, logging.Logger)
        },
    }
    if "numpy" in sys.modules:
        import numpy as np

        found["numpy"] = [np.geterr(), np.get_printoptions()]
    if "PIL.ImageFile" in sys.modules:
        from PIL import Image, ImageFile

        found["PIL"] = [Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES]
    if "sklearn" in sys.modules:
        import sklearn

        found["sklearn"] = {name: str(value) for name, value in sklearn.get_config().items()}
    if "matplotlib" in sys.modules:
        import matplotlib

        found["matplotlib"] = {name: str(value) for name, value in dict.items(matplotlib.rcParams)}
    if "keras" in sys.modules and "tensorflow" in sys.modules:
        import keras
        import tensorflow as tf

        config = keras.config
        found["keras"] = [config.floatx(), config.epsilon(), config.image_data_format(), config.dtype_policy().name]
        optimizer, experimental = tf.config.optimizer, tf.config.experimental
        found["tensorflow"] = [
            optimizer.get_experimental_options(),
            optimizer.get_jit(),
            experimental.tensor_float_32_execution_enabled(),
            tf.config.functions_run_eagerly(),
        ]
    return json.loads(json.dumps(found))


def differences(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Yield the places where `after` is not `before`; what is new by an import, such as a logger, does not count."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before:
            yield from differences(before[name], after.get(name), f"{place}.{name}")
    elif before != after:
        yield f"{place}: {before} -> {after}"


def verbs(folder: Path, photos: Path) -> dict[str, Callable[[], Any]]:
    """Return all that a program may call, as functions to numbers that must not depend on the program."""
    import featstore

    at: dict[str, Any] = {"cache": str(folder / "cache"), "runs": str(folder / "runs")}
    runs: dict[str, Any] = {}

    def extract() -> Any:
        made = featstore.extract(photos, model="tiny", dtype="float32", cache=at["cache"])
        return featstore.load_features(made.manifest, made.features[0].spec, cache=at["cache"]).X

    def train(head: Any) -> Any:
        options = {} if head == "logistic" else {"epochs": 2}
        runs[head] = featstore.train_head(photos, head, options, model="tiny", size=40, **at)
        return runs[head].metrics["test"].log_loss

    def fine_tune() -> Any:
        return featstore.fine_tune(runs["bn-dropout"], photos, epochs=1, **at).run.metrics["test"].log_loss

    def compare() -> Any:
        made = featstore.compare(
            photos, ["logistic", "bn-dropout"], {"epochs": 1}, model="tiny", weights="random", cache=at["cache"]
        )
        return [row.log_loss for row in made.rows]

    def predict() -> Any:
        return featstore.predict(runs["vgg-fc"], photos, cache=at["cache"]).images[0].probability

    def evaluate() -> Any:
        return featstore.evaluate(runs["bn-dropout"], photos, cache=at["cache"]).metrics["test"].log_loss

    def check() -> Any:
        return featstore.check_base(photos, model="tiny", cache=at["cache"]).rows[0]

    def bottleneck() -> Any:
        paths = sorted(map(str, photos.rglob("*.png")))
        return featstore.Bottleneck(model="tiny", preprocess="raw", cache=at["cache"]).fit_transform(paths)

    trained: dict[str, Callable[[], Any]] = {f"train_head {head}": lambda head=head: train(head) for head in HEADS}
    return {
        "extract": extract,
        "Bottleneck": bottleneck,
        **trained,
        "compare": compare,
        "predict": predict,
        "evaluate": evaluate,
        "check_base": check,
        "fine_tune": fine_tune,
    }


def set_everything() -> None:
    """Change what a program may change, each in a way that would move a number or end a computation."""
    import keras
    import numpy as np
    import sklearn
    import tensorflow as tf
    from PIL import Image, ImageFile

    sklearn.set_config(assume_finite=True, enable_metadata_routing=True)
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    tf.config.optimizer.set_jit(True)
    tf.config.experimental.enable_tensor_float_32_execution(True)
    tf.config.run_functions_eagerly(True)
    keras.config.set_floatx("float16")
    keras.config.set_epsilon(1e-2)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_bfloat16")
    Image.MAX_IMAGE_PIXELS = 100
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    np.seterr(all="raise")
    warnings.simplefilter("error")


def draw() -> list[float]:
    """Return a number from each global source of random numbers."""
    import keras
    import numpy as np
    import tensorflow as tf

    sources = (random.random, np.random.random, lambda: tf.random.uniform([]), lambda: keras.random.uniform([]))
    return [float(source()) for source in sources]


def call_all(folder: str, photos: str, world: str) -> None:
    """Call all verbs in a world: `new`, as a program finds it, or `changed`, with seeds and settings of its own."""
    from featstore.errors import LeakWarning

    warnings.simplefilter("ignore", LeakWarning)
    drawn: list[Any] = []
    if world == "changed":
        import keras

        set_everything()
        keras.utils.set_random_seed(7)
        expected = [draw() for _ in range(12)]
        keras.utils.set_random_seed(7)
    changed, numbers = {}, {}
    for name, verb in verbs(Path(folder), Path(photos)).items():
        before = photograph()
        made = verb()
        after = photograph()
        changed[name] = list(differences(before, after))
        numbers[name] = str(made.tolist() if hasattr(made, "tolist") else made)
        if world == "changed":
            drawn.append(draw())
    same = not drawn or drawn == expected[: len(drawn)]
    print(json.dumps({"changed": changed, "numbers": numbers, "same draws": same}))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the verbs returned and left changed, in each of two worlds."""
    folder = tmp_path_factory.mktemp("world")
    photos = write_photos(folder / "photos", 10)
    return {
        world: json.loads(in_child(call_all, folder / world, photos, world, seconds=300).splitlines()[-1])
        for world in ("new", "changed")
    }


@pytest.mark.tf
@pytest.mark.parametrize("world", ["new", "changed"])
def test_a_call_leaves_the_world_as_found(worlds: dict[str, Any], world: str) -> None:
    """Variables, warnings, logging, signals, the settings of libraries. `import` itself may log."""
    assert {verb: what for verb, what in worlds[world]["changed"].items() if what} == {}


@pytest.mark.tf
def test_random_numbers_are_the_callers_own(worlds: dict[str, Any]) -> None:
    """Python, NumPy, TensorFlow and Keras draw on as if nothing had been called in between."""
    assert worlds["changed"]["same draws"]


@pytest.mark.tf
def test_no_setting_and_no_seed_of_the_caller_reaches_a_number(worlds: dict[str, Any]) -> None:
    """All figures are equal to the last digit."""
    new, changed = (worlds[world]["numbers"] for world in ("new", "changed"))
    assert [verb for verb in new if new[verb] != changed[verb]] == []
