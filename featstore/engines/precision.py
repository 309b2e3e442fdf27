"""Which engines compute in which precision on this machine."""

from __future__ import annotations

from featstore.engines.openvino_loader import graphics_card, is_installed
from featstore.errors import param
from featstore.spec import Precision
from featstore.system.gpus import list_gpus
from featstore.system.processor import has_bfloat16, processor_features
from featstore.system.tensorflow_loader import load_tensorflow

# Relative L2 of a row by which an engine may differ from TensorFlow in float32. Lower precision is what the user chose:
# bfloat16 moves rows of VGG16 by 0.7 %, of DenseNet121 by 2 to 5 % and of trained MobileNets by up to 19 %. So it is
# refused only where it is plainly broken.
TOLERANCES: dict[Precision, float] = {"float32": 1e-5, "bfloat16": 0.5, "float16": 0.1}
_FLOAT16 = frozenset({"avx512_fp16", "amx_fp16"})


def openvino_computes(precision: Precision) -> bool:
    """Return whether OpenVINO is installed and has `precision` on this machine; it is loaded only to look for a GPU."""
    if not is_installed():
        return False
    on_processor = {
        "float32": True,
        "bfloat16": has_bfloat16(),
        "float16": not _FLOAT16.isdisjoint(processor_features()),
    }
    return on_processor[precision] or graphics_card() is not None


def tensorflow_computes(precision: Precision) -> bool:
    """Return whether TensorFlow, which is loaded for this, has `precision` on this machine."""
    if precision == "float32":
        return True
    load_tensorflow()
    import tensorflow as tf

    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    return has_gpu if precision == "float16" else has_bfloat16() and not has_gpu


def tensorflow_has_gpu_for(precision: Precision) -> bool:
    """Return whether a GPU computes `precision` in TensorFlow, and so faster than any processor.

    In float32 a trial decides, and in bfloat16 TensorFlow is for processors.
    """
    return precision == "float16" and bool(list_gpus()) and tensorflow_computes(precision)


def refusal(precision: Precision, engine: str) -> str:
    """Return the message of the error, which says what the machine would have to have."""
    needed = {
        "float32": "an installed engine",
        "bfloat16": "a processor with avx512_bf16, amx_bf16 or, on ARM, bf16",
        "float16": "a graphics card, or OpenVINO on a processor with avx512_fp16 or amx_fp16",
    }
    by = "" if engine == "auto" else f" by {engine}"
    return (
        f"{param('precision', precision)}: cannot be computed{by} on this machine: expected {needed[precision]}; use "
        f"{param('precision', 'float32')}"
    )
