"""The known state in which rows, heads and predictions are computed, whatever the program has set for itself.

TensorFlow, Keras, NumPy, scikit-learn, Pillow and `warnings` have switches that change a number, or end a computation
that would be right. Within `pinned` each has its library's default; afterwards it is as it was before.
docs/architecture.md has the list, and what each was measured to do. Environment variables that a library reads once are
in `tensorflow_loader`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import Any, NamedTuple

from featstore.system.fork_lock import ForkLock
from featstore.system.imports import loaded


class _Switch(NamedTuple):
    """A switch of a library: how it is read and set, and the `value` that it has within `pinned`."""

    module: str
    read: Callable[[Any], Any]
    set: Callable[[Any, Any], object]
    value: Any


# The options of TensorFlow's graph optimizer as TensorFlow brings them. Mixed precision moves a row by up to 15 %.
_OFF = (
    "auto_mixed_precision",
    "auto_mixed_precision_mkl",
    "auto_mixed_precision_onednn_bfloat16",
    "debug_stripper",
    "disable_meta_optimizer",
    "disable_model_pruning",
    "pin_to_host_optimization",
    "scoped_allocator_optimization",
)
_ON = (
    "arithmetic_optimization",
    "constant_folding",
    "dependency_optimization",
    "function_optimization",
    "implementation_selector",
    "layout_optimizer",
    "loop_optimization",
    "remapping",
    "shape_optimization",
    "use_plugin_optimizers",
)
_OPTIMIZER = dict.fromkeys(_OFF, False) | dict.fromkeys(_ON, True)


def _read_optimizer(tf: Any) -> dict[str, bool]:
    found = tf.config.optimizer.get_experimental_options()
    return {name: found.get(name, default) for name, default in _OPTIMIZER.items()}


def _set_optimizer(tf: Any, options: dict[str, bool]) -> None:
    """Set what differs: an option that is named is no longer TensorFlow's own choice, even if it is the same."""
    before = _read_optimizer(tf)
    tf.config.optimizer.set_experimental_options({name: on for name, on in options.items() if on != before[name]})


def _no_retracing(record: logging.LogRecord) -> bool:
    """Each network here is a function of its own, traced once; the detector takes many of them for one."""
    return "triggered tf.function retracing" not in str(record.msg)


def _mute_retracing(tf: Any, muted: bool) -> None:
    logger = logging.getLogger("tensorflow")
    (logger.addFilter if muted else logger.removeFilter)(_no_retracing)


def _attribute(module: str, name: str, value: Any) -> _Switch:
    return _Switch(module, lambda found: getattr(found, name), lambda found, new: setattr(found, name, new), value)


def _functions(module: str, read: str, write: str, value: Any) -> _Switch:
    """Return a switch with a function that reads it and one that sets it, both by their names in `module`."""
    get, put = attrgetter(read), attrgetter(write)
    return _Switch(module, lambda found: get(found)(), lambda found, new: put(found)(new), value)


_TF32 = "config.experimental.tensor_float_32_execution_enabled", "config.experimental.enable_tensor_float_32_execution"
_SWITCHES = (
    _Switch("tensorflow", _read_optimizer, _set_optimizer, _OPTIMIZER),
    _functions("tensorflow", "config.optimizer.get_jit", "config.optimizer.set_jit", ""),
    _functions("tensorflow", "config.functions_run_eagerly", "config.run_functions_eagerly", False),
    # From Ampere on, GPUs round the factors of float32 products to 10 bits by default: other features than on a CPU,
    # under a key that says float32.
    _functions("tensorflow", *_TF32, False),
    _Switch("tensorflow", lambda tf: _no_retracing in logging.getLogger("tensorflow").filters, _mute_retracing, True),
    _functions("keras", "config.floatx", "config.set_floatx", "float32"),
    _functions("keras", "config.epsilon", "config.set_epsilon", 1e-7),
    _functions("keras", "config.image_data_format", "config.set_image_data_format", "channels_last"),
    _attribute("PIL.Image", "MAX_IMAGE_PIXELS", None),  # the limit here is that of `limits`, checked for each header
    _attribute("PIL.ImageFile", "LOAD_TRUNCATED_IMAGES", False),  # it invents pixels
    _attribute("PIL.PngImagePlugin", "MAX_TEXT_CHUNK", 2**20),
    _attribute("PIL.PngImagePlugin", "MAX_TEXT_MEMORY", 64 * 2**20),
    _attribute("PIL.GifImagePlugin", "LOADING_STRATEGY", 0),
)

_lock = ForkLock()
_inside = 0  # blocks of all threads that have been entered and not left
_give_back = ExitStack()


@contextmanager
def pinned() -> Iterator[None]:
    """Run a block, or as `@pinned()` a function, in the known state; blocks may be nested.

    The state is that of the process. With several threads it lasts from the first block that is entered until the last
    one is left. A warning is never an error in the block: it would skip images that can be read.
    """
    global _inside
    with _lock:
        is_first = not _inside
        _inside += 1
    try:
        with _lock:
            if is_first:  # asked above: another thread may have entered since
                _give_back.enter_context(_warnings_as_wanted())
            pin_loaded()
        with _settings_of_the_thread():
            yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _give_back.close()
            _renew_options()


def pin_loaded() -> None:
    """Pin the libraries that are loaded by now, if any block is entered: one may have been loaded within it."""
    with _lock:
        for switch in _SWITCHES if _inside else ():
            module = loaded(switch.module)
            if module is not None and (before := switch.read(module)) != switch.value:
                _give_back.callback(switch.set, module, before)
                switch.set(module, switch.value)
        _renew_options()


def _renew_options() -> None:
    """Let TensorFlow read the options of its optimizer again: each thread remembers those that it first ran with."""
    if tf := loaded("tensorflow"):
        tf.config.optimizer.set_experimental_options({})


@contextmanager
def _warnings_as_wanted() -> Iterator[None]:
    """Print what `-W error`, `PYTHONWARNINGS` or `simplefilter` would raise. All other filters stay as they are.

    Pillow's warnings are not shown: they name its source files, not the image, and what matters is a reason here.
    """
    with warnings.catch_warnings():
        filters = [("default" if action == "error" else action, *rest) for action, *rest in warnings.filters]
        warnings.resetwarnings()
        warnings.filters.extend(filters)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextmanager
def _settings_of_the_thread() -> Iterator[None]:
    """Use the defaults of numpy's floating-point errors and of scikit-learn, which each thread has for itself."""
    with ExitStack() as stack:
        if numpy := loaded("numpy"):
            stack.enter_context(numpy.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        if sklearn := loaded("sklearn"):
            off = ("assume_finite", "array_api_dispatch", "enable_metadata_routing", "skip_parameter_validation")
            stack.enter_context(sklearn.config_context(transform_output="default", **dict.fromkeys(off, False)))
        yield
