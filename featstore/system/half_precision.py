"""Products in lower precision, for what one thread computes: TensorFlow's graph optimizer converts them.

`tf.config.optimizer` sets the same options for the whole process, where another thread would compute in them too. So
within `pinned` they are off, and here they are said for each call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_OPTIONS = {
    "bfloat16": "auto_mixed_precision_onednn_bfloat16",  # on processors
    "float16": "auto_mixed_precision",  # on GPUs
}


@contextmanager
def computed_in(precision: str) -> Iterator[None]:
    """Let the compiled functions that this thread calls in the block convert the factors of their float32 products.

    Sums and weights stay float32, and so does what the optimizer holds to be unsafe, such as a softmax. Nothing is
    converted for `float32`.
    """
    if precision == "float32":
        yield
        return
    from tensorflow.core.protobuf.config_pb2 import ConfigProto
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
    from tensorflow.python.eager import context

    thread = context.context()
    before = thread.function_call_options
    config = ConfigProto.FromString(before.config_proto_serialized)
    setattr(config.graph_options.rewrite_options, _OPTIONS[precision], RewriterConfig.ON)
    thread.function_call_options = context.FunctionCallOptions(before.executor_type, config)
    try:
        yield
    finally:
        thread.function_call_options = before
