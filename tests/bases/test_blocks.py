"""Places where a network can be cut in two, for every family of bases and for a user's own network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from featstore.bases.blocks import Blocks
from featstore.bases.catalog import BASES, TINY, block_ends
from featstore.bases.cut import cut_at, layer_names
from featstore.errors import UsageError

# One base of each module of keras.applications, with the layer at whose output its last block begins.
LAST_BLOCKS = {
    "VGG16": "block4_pool",
    "ResNet50": "conv4_block6_out",
    "ResNet50V2": "conv4_block6_out",
    "Xception": "add_10",
    "InceptionV3": "mixed9",
    "InceptionResNetV2": "custom_scale_layer_39",
    "MobileNet": "conv_pw_11_relu",
    "MobileNetV2": "block_12_add",
    "MobileNetV3Small": "expanded_conv_7_add",
    "MobileNetV3Large": "expanded_conv_11_add",
    "DenseNet121": "pool4_pool",
    "EfficientNetB0": "block6d_add",
    "EfficientNetV2B0": "block5e_add",
    "ConvNeXtTiny": "convnext_tiny_downsampling_block_2",
}


def application(name: str) -> Any:
    size = BASES[name].min_size
    return getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(size, size, 3))


def blocks_of(model: Any) -> Blocks:
    return Blocks(model, model)


@pytest.mark.parametrize("name", LAST_BLOCKS)
def test_the_last_block_of_every_family(name: str) -> None:
    """The input of the last block separates the network: the top needs no other activation."""
    model = application(name)
    found = Blocks(model, cut_at(model, "last", "avg")).top(1, block_ends(BASES[name]))
    assert found.layer == LAST_BLOCKS[name]
    assert found.tensor is model.layers[layer_names(model).index(found.layer)].output
    assert keras.Model(found.tensor, model.output).count_params() > 0  # Keras refuses a top with other inputs


def test_every_entry_of_the_table_is_in_its_network() -> None:
    """Deeper networks of a family share its patterns, and their layers are found too."""
    assert [s.layer for s in blocks_of(application("VGG19")).ends(block_ends(BASES["VGG19"]))] == [
        f"block{number}_pool" for number in (4, 3, 2, 1)
    ]
    for name in LAST_BLOCKS:
        assert len(block_ends(BASES[name])) >= 2
    assert block_ends(BASES["EfficientNetV2L"])[0].startswith("block6")
    assert block_ends(BASES["EfficientNetV2S"])[0].startswith("block5")
    assert block_ends(BASES["NASNetLarge"]) == ()
    assert block_ends(TINY) == ("block1b_out", "block1a_out", "stem_relu")


def test_a_network_without_a_separator_is_refused() -> None:
    """Each cell of NASNet takes the outputs of two others, so only its stem can be cut off."""
    blocks = blocks_of(application("NASNetMobile"))
    with pytest.raises(UsageError, match=r"no single tensor leads into the last block; the nearest .* unfreeze_from="):
        blocks.top(1, block_ends(BASES["NASNetMobile"]))


@pytest.fixture(scope="module")
def resnet() -> Any:
    return application("ResNet50")


def test_a_block_is_named_by_its_prefix(resnet: Any) -> None:
    """Residual blocks are not divided, and a prefix does not match a longer number."""
    blocks = blocks_of(resnet)
    assert blocks.before_prefix("conv5").layer == "conv4_block6_out"
    assert blocks.before_prefix("conv5_block3").layer == "conv5_block2_out"
    assert blocks.before("conv5_block3_1_conv").layer == "conv5_block2_out"
    with pytest.raises(UsageError, match="unfreeze='conv': no layer has a name that begins so"):
        blocks.before_prefix("conv")


def test_a_cut_through_a_residual_block_is_refused(resnet: Any) -> None:
    """The message names the nearest layers on either side."""
    with pytest.raises(UsageError) as caught:
        blocks_of(resnet).before("conv5_block2_2_conv")
    assert str(caught.value) == (
        "layer 'conv5_block2_2_conv': no single tensor separates it from the layers below; the nearest possible is "
        "unfreeze_from='conv5_block2_1_conv' or unfreeze_from='conv5_block3_1_conv'"
    )


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (lambda b: b.before("conv9"), r"no layer 'conv9' .*the nearest possible is unfreeze_from='conv5_block3_1"),
        (lambda b: b.before("conv1_pad"), "is the first layer; to train the whole network use whole=True"),
        (lambda b: b.before("conv5_block3_out"), "no layer after it can be trained"),
        (lambda b: b.top(5, block_ends(BASES["ResNet50"])), "has 4 blocks that can be unfrozen; .* use whole=True"),
    ],
)
def test_what_cannot_be_unfrozen_is_refused(resnet: Any, find: Callable[[Blocks], object], message: str) -> None:
    """The message is one line that says what is possible."""
    with pytest.raises(UsageError, match=message) as caught:
        find(blocks_of(resnet))
    assert "\n" not in str(caught.value)


def test_blocks_of_a_users_network_end_where_maps_shrink() -> None:
    """A block ends after a pooling, which has no weights, and before a convolution with strides; padding ends none."""
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, padding="same", name="a")(image)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Conv2D(4, 3, padding="same", name="b")(x)
    x = layers.ZeroPadding2D(name="pad")(x)
    x = layers.Conv2D(4, 3, strides=2, name="c")(x)
    blocks = Blocks(model := keras.Model(image, x), model, saved=True)
    assert [s.layer for s in blocks.ends(None)] == ["b", "pool"]
    assert blocks.top(2, None).layer == "pool"


def test_a_layer_on_both_sides_is_never_cut_apart() -> None:
    """A shared layer cannot be frozen below and trained above."""
    image = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 1, name="shared")
    x = layers.Conv2D(3, 1, name="first")(image)
    x = shared(layers.ReLU(name="between")(shared(x)))
    model = keras.Model(image, layers.Conv2D(3, 1, name="last")(x))
    found = [s.layer for s in Blocks(model, model, saved=True).separators]
    assert "between" not in found
    assert {"first", "last"} <= set(found)


def test_a_chain_can_be_cut_anywhere_and_branches_nowhere() -> None:
    """Every tensor of a chain separates; a tensor of one branch does not."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(3, 1, name="one")(image)
    left, right = layers.Conv2D(3, 1, name="left")(x), layers.Conv2D(3, 1, name="right")(x)
    x = layers.Add(name="sum")([left, right])
    model = keras.Model(image, layers.Conv2D(3, 1, name="two")(x))
    assert [s.layer for s in Blocks(model, model, saved=True).separators] == ["image", "one", "sum", "two"]
    with pytest.raises(UsageError, match="no single tensor"):
        Blocks(model, model, saved=True).before("sum")


def test_blocks_follow_each_other_without_a_gap(resnet: Any) -> None:
    """Every layer of the base except its input is in one block."""
    blocks = blocks_of(resnet)
    places = [0, *sorted(s.place for s in blocks.ends(block_ends(BASES["ResNet50"]))), None]
    found = [layer for a, b in pairwise(places) for layer in blocks.layers_between(a or 0, b)]
    assert len(found) == len(set(found)) == len(resnet.layers) - 1
    assert np.sum([layer.count_params() for layer in found]) == resnet.count_params()
