"""Which precisions a machine has, and a step in one of them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from featstore.errors import UsageError
from featstore.finetuning import precision
from featstore.finetuning.momentum import Momentum
from featstore.finetuning.precision import check_precision, in_precision, layers_policy
from featstore.heads.step import Group, compile_step

OLD, NEW = (7, 5), (8, 0)


@pytest.mark.parametrize(
    ("name", "processor", "gpus", "policy"),
    [
        ("float32", False, [], "float32"),
        ("bfloat16", True, [], "float32"),  # TensorFlow converts the products of the float32 network
        ("bfloat16", False, [NEW], "mixed_bfloat16"),
        ("float16", False, [OLD], "mixed_float16"),
    ],
)
def test_what_a_machine_has_is_accepted(
    name: str, processor: bool, gpus: list[tuple[int, int]], policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda: processor)
    monkeypatch.setattr(precision, "_gpu_capabilities", lambda: gpus)
    check_precision(name)
    assert layers_policy(name) == policy


@pytest.mark.parametrize(
    ("name", "processor", "gpus", "needed"),
    [
        ("bfloat16", False, [], "expected a processor with avx512_bf16"),
        ("bfloat16", True, [OLD], "or a GPU from Ampere on"),  # the steps would run on the GPU
        ("float16", True, [], "expected a GPU, which is not here; use precision='float32'"),
    ],
)
def test_what_a_machine_has_not_is_refused(
    name: str, processor: bool, gpus: list[tuple[int, int]], needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda: processor)
    monkeypatch.setattr(precision, "_gpu_capabilities", lambda: gpus)
    with pytest.raises(UsageError, match=needed) as caught:
        check_precision(name)
    assert "\n" not in str(caught.value)


def _train(name: str) -> tuple[list[float], list[Any]]:
    """Return the losses of three steps, and the weights after them."""
    dense = [
        keras.layers.Dense(32, "relu", kernel_initializer=keras.initializers.GlorotUniform(seed)) for seed in (1, 2)
    ]
    head = keras.layers.Dense(3, "softmax", kernel_initializer=keras.initializers.GlorotUniform(3))
    network = keras.Sequential([keras.Input((16,)), *dense, head])
    step = in_precision(compile_step(network, [Group(Momentum(0.1, 0.9, 1.0), network.trainable_variables)]), name)
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(64, 16)).astype("float32"), rng.integers(0, 3, 64)
    return [float(step(rows, targets)[0]) for _ in range(3)], network.get_weights()


def test_steps_in_bfloat16_are_those_of_float32_rounded_and_repeat() -> None:
    """The weights stay float32, and the same steps give the same bits."""
    (exact, _), (rounded, weights), (again, same) = _train("float32"), _train("bfloat16"), _train("bfloat16")
    assert rounded == again
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=2e-2)
    assert all(np.array_equal(a, b) for a, b in zip(weights, same, strict=True))
    assert {w.dtype for w in weights} == {np.dtype("float32")}
