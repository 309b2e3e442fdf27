"""Whether this machine computes in the precision that fine-tuning asks for."""

from __future__ import annotations

from featstore.errors import UsageError, param
from featstore.system.processor import has_bfloat16


def check_precision(precision: str) -> None:
    """Raise UsageError where bfloat16 would be slower than float32: TensorFlow computes it on any machine."""
    if precision != "mixed_bfloat16" or has_bfloat16():
        return
    import tensorflow as tf

    if not tf.config.get_visible_devices("GPU"):
        raise UsageError(
            f"{param('precision', precision)}: expected a GPU or a processor that multiplies bfloat16 (avx512_bf16, "
            f"amx_bf16 or bf16 among its features), which this one does not; use {param('precision', 'float32')}"
        )
