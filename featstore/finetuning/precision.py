"""How fine-tuning computes in half precision: by TensorFlow's graph optimizer on processors, by Keras on GPUs.

Weights stay float32, and what the run predicts and is measured by is computed in float32: an image has one answer, on
any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from featstore.errors import UsageError, param
from featstore.system.half_precision import computed_in
from featstore.system.processor import has_bfloat16

_NEEDED = {
    "bfloat16": "a processor with avx512_bf16, amx_bf16 or, on ARM, bf16, or a GPU from Ampere on",
    "float16": "a GPU",
}
_AMPERE = (8, 0)  # the compute capability of NVIDIA's first GPUs with bfloat16


def check_precision(precision: str) -> None:
    """Raise UsageError where the machine has no such products: TensorFlow would imitate them, slower than float32."""
    if precision == "float32":
        return
    capabilities = _gpu_capabilities()
    found = {"bfloat16": max(capabilities) >= _AMPERE if capabilities else has_bfloat16(), "float16": capabilities}
    if not found[precision]:
        raise UsageError(
            f"{param('precision', precision)}: expected {_NEEDED[precision]}, which is not here; use "
            f"{param('precision', 'float32')}"
        )


def layers_policy(precision: str) -> str:
    """Return the dtype policy of Keras for the layers of the base; of a processor's it is float32."""
    return f"mixed_{precision}" if precision != "float32" and _gpu_capabilities() else "float32"


def in_precision(step: Callable[..., Any], precision: str) -> Callable[..., Any]:
    """Return `step`, computed in `precision` unless the layers' policy does that already."""
    if precision == "float32" or layers_policy(precision) != "float32":
        return step

    def run(*batch: Any) -> Any:
        with computed_in(precision):
            return step(*batch)

    return run


def _gpu_capabilities() -> list[tuple[int, int]]:
    """Return the compute capability of each GPU that TensorFlow sees."""
    import tensorflow as tf

    details = tf.config.experimental.get_device_details
    return [details(gpu).get("compute_capability", (0, 0)) for gpu in tf.config.get_visible_devices("GPU")]
