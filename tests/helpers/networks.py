"""Networks that are built fresh, saved in each format, or made small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from featstore.bases.build import build_new


def fresh(*arguments: Any) -> Any:
    """The model of a base, built as if for the first time in the process."""
    return build_new(*arguments).model


def save_legacy(model: Any, path: Path) -> Path:
    """The format of the published files, which Keras 3 reads and no longer offers to write."""
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(path.with_suffix(".h5"), "w") as file:
        save_weights_to_hdf5_group(file, model)
    return path.with_suffix(".h5")


def save_whole(model: Any, path: Path, edit: Callable[[dict[str, Any]], None] = lambda config: None) -> Path:
    """The whole network in HDF5, as Keras 2 has it after `edit` has changed its configuration."""
    from keras.src.legacy.saving.legacy_h5_format import save_model_to_hdf5

    save_model_to_hdf5(model, path.with_suffix(".h5"))
    with h5py.File(path.with_suffix(".h5"), "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edit(config)
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "2.15.0"
    return path.with_suffix(".h5")


def save_weights(model: Any, path: Path) -> Path:
    model.save_weights(path.with_suffix(".weights.h5"))
    return path.with_suffix(".weights.h5")


def save_model(model: Any, path: Path) -> Path:
    model.save(path.with_suffix(".keras"))
    return path.with_suffix(".keras")


def shrink_efficientnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block instead of sixteen, in a network that is scaled as the whole."""
    block = {"kernel_size": 3, "repeats": 1, "filters_in": 32, "filters_out": 8, "expand_ratio": 1}
    blocks = [block | {"id_skip": True, "strides": 1, "se_ratio": 0.25}]
    monkeypatch.setattr("keras.src.applications.efficientnet.DEFAULT_BLOCKS_ARGS", blocks)


def shrink_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most two blocks per stage in the families that repeat more: each kind of layer and of path is still there."""
    from keras.src.applications import densenet, efficientnet, efficientnet_v2, inception_resnet_v2, resnet

    def at_most_two(module: Any, name: str, place: int) -> None:
        stack = getattr(module, name)

        def fewer(*given: Any, **named: Any) -> Any:
            return stack(*given[:place], min(given[place], 2), *given[place + 1 :], **named)

        monkeypatch.setattr(module, name, fewer)

    at_most_two(densenet, "dense_block", 1)
    at_most_two(resnet, "stack_residual_blocks_v1", 2)
    at_most_two(resnet, "stack_residual_blocks_v2", 2)
    stages = [stage | {"repeats": min(stage["repeats"], 2)} for stage in efficientnet.DEFAULT_BLOCKS_ARGS]
    monkeypatch.setattr(efficientnet, "DEFAULT_BLOCKS_ARGS", stages)
    for name, table in efficientnet_v2.DEFAULT_BLOCKS_ARGS.items():
        stages = [stage | {"num_repeat": min(stage["num_repeat"], 2)} for stage in table]
        monkeypatch.setitem(efficientnet_v2.DEFAULT_BLOCKS_ARGS, name, stages)
    block = inception_resnet_v2.inception_resnet_block
    ends = {"block35": 10, "block17": 20, "block8": 9}

    def first_and_last(x: Any, scale: float, block_type: str, block_idx: int, **named: Any) -> Any:
        return x if 1 < block_idx < ends[block_type] else block(x, scale, block_type, block_idx, **named)

    monkeypatch.setattr(inception_resnet_v2, "inception_resnet_block", first_and_last)


def shrink_convnext(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block and a few channels per stage for ConvNeXtTiny, which takes a tenth of the time and pools as the whole."""
    table = "keras.src.applications.convnext.MODEL_CONFIGS"
    monkeypatch.setattr(table, {"tiny": {"depths": [1] * 4, "projection_dims": [8] * 4, "default_size": 224}})
