"""The known state: what is pinned in it, and that everything is given back."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import sklearn
import tensorflow as tf
from PIL import GifImagePlugin, Image, ImageFile, PngImagePlugin

from featstore.system.pinned import _OPTIMIZER, pin_loaded, pinned


class Case(NamedTuple):
    """A switch: how it is read, a function that changes it, and one that undoes this after the test."""

    read: Callable[[], Any]
    change: Callable[[], object]
    undo: Callable[[], object]
    value: Any  # within `pinned`


def optimizer(name: str, on: bool) -> Case:
    return Case(
        lambda: tf.config.optimizer.get_experimental_options().get(name, not on),
        lambda: tf.config.optimizer.set_experimental_options({name: on}),
        lambda: tf.config.optimizer.set_experimental_options({name: not on}),
        not on,
    )


def attribute(module: Any, name: str, other: Any) -> Case:
    value = getattr(module, name)
    return Case(
        lambda: getattr(module, name),
        lambda: setattr(module, name, other),
        lambda: setattr(module, name, value),
        value,
    )


tf32 = tf.config.experimental.enable_tensor_float_32_execution
CASES = {
    **{name: optimizer(name, not value) for name, value in _OPTIMIZER.items()},
    "jit": Case(
        tf.config.optimizer.get_jit,
        lambda: tf.config.optimizer.set_jit(True),
        lambda: tf.config.optimizer.set_jit(False),
        "",
    ),
    "eager": Case(
        tf.config.functions_run_eagerly,
        lambda: tf.config.run_functions_eagerly(True),
        lambda: tf.config.run_functions_eagerly(False),
        False,
    ),
    "tf32": Case(
        tf.config.experimental.tensor_float_32_execution_enabled, lambda: tf32(True), lambda: tf32(True), False
    ),
    "floatx": Case(
        keras.config.floatx,
        lambda: keras.config.set_floatx("float16"),
        lambda: keras.config.set_floatx("float32"),
        "float32",
    ),
    "epsilon": Case(
        keras.config.epsilon, lambda: keras.config.set_epsilon(1e-2), lambda: keras.config.set_epsilon(1e-7), 1e-7
    ),
    "layout": Case(
        keras.config.image_data_format,
        lambda: keras.config.set_image_data_format("channels_first"),
        lambda: keras.config.set_image_data_format("channels_last"),
        "channels_last",
    ),
    "largest image": attribute(Image, "MAX_IMAGE_PIXELS", 100)._replace(value=None),
    "truncated": attribute(ImageFile, "LOAD_TRUNCATED_IMAGES", True),
    "text chunk": attribute(PngImagePlugin, "MAX_TEXT_CHUNK", 10),
    "text memory": attribute(PngImagePlugin, "MAX_TEXT_MEMORY", 10),
    "frames": attribute(GifImagePlugin, "LOADING_STRATEGY", GifImagePlugin.LoadingStrategy.RGB_ALWAYS),
    "scikit-learn": Case(
        lambda: {name: sklearn.get_config()[name] for name in ("transform_output", "array_api_dispatch")},
        lambda: sklearn.set_config(transform_output="pandas"),
        lambda: sklearn.set_config(transform_output="default"),
        {"transform_output": "default", "array_api_dispatch": False},
    ),
    "numpy": Case(
        np.geterr,
        lambda: np.seterr(all="raise"),
        lambda: np.seterr(divide="warn", over="warn", under="ignore", invalid="warn"),
        {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"},
    ),
}


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Any:
    found = CASES[request.param]
    yield found
    found.undo()


def test_a_switch_is_pinned_and_given_back(case: Case) -> None:
    """Blocks may be nested: the outermost one decides."""
    case.change()
    changed = case.read()
    assert changed != case.value
    with pinned():
        assert case.read() == case.value
        with pinned():
            assert case.read() == case.value
        assert case.read() == case.value
    assert case.read() == changed


def test_a_switch_that_is_changed_within_is_pinned_again(case: Case) -> None:
    """As by a display of progress that the program brings, or by a library that is loaded within."""
    with pinned():
        case.change()
        with pinned():
            assert case.read() == case.value


def test_an_error_gives_everything_back() -> None:
    tf32(True)
    with pytest.raises(KeyError), pinned():
        raise KeyError
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_what_is_not_set_is_not_set_afterwards() -> None:
    """An option of the optimizer that is named is no longer TensorFlow's own choice."""
    before = tf.config.optimizer.get_experimental_options()
    with pinned():
        pass
    assert tf.config.optimizer.get_experimental_options() == before


def test_nothing_is_pinned_outside() -> None:
    tf32(True)
    pin_loaded()
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_the_last_thread_gives_back() -> None:
    """A thread that is done does not unpin what another still needs."""
    tf32(True)
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with pinned():
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    with pinned():
        thread.start()
        assert entered.wait(30)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    leave.set()
    thread.join()
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_a_library_that_another_thread_is_importing_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no attributes yet. Who needs it waits for it, and pins it then."""
    half = ModuleType("keras")
    half.__spec__ = ModuleSpec("keras", None)
    half.__spec__._initializing = True  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keras", half)
    with pinned():
        pass


def test_mixed_precision_reaches_no_product() -> None:
    """The options are read again in each thread: TensorFlow remembers those that a thread first ran with."""

    def product() -> Any:
        x = tf.constant(np.random.default_rng(0).normal(size=(64, 64)).astype("float32"))
        return tf.function(lambda x: tf.nn.relu(x @ x) @ x, autograph=False)(x).numpy()

    right = product()
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    try:
        rounded = product()
        with pinned():
            assert np.array_equal(product(), right)
        assert np.array_equal(product(), rounded)
    finally:
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": False})


def test_a_warning_is_no_error() -> None:
    """It is shown instead; what the program ignores stays ignored, and its filters come back as they were."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "quiet")
        before = list(warnings.filters)
        with pinned():
            warnings.warn("loud", UserWarning, stacklevel=1)
            warnings.warn("quiet", UserWarning, stacklevel=1)
        assert list(warnings.filters) == before
        with pytest.raises(UserWarning):
            warnings.warn("loud", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in shown] == ["loud"]
