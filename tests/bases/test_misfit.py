"""Weights that do not fit: the message says whose they are."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from featstore.bases import misfit
from featstore.bases.catalog import BASES
from featstore.bases.misfit import Owner, explain_misfit, owner_of
from featstore.bases.source import BaseSource


def source(model: str = "MobileNet", alpha: float | None = 0.25, top: bool = False) -> BaseSource:
    return BaseSource(model, "w.h5", alpha, 0, top)


def write(path: Path, *layers: tuple[str, int]) -> Path:
    """A file of the older layout with a weight of so many numbers in each layer."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name, _ in layers]
        for name, numbers in layers:
            group = file.create_group(name)
            group.attrs["weight_names"] = [b"kernel:0"]
            group["kernel:0"] = np.zeros(numbers, "u1")
    return path


@pytest.mark.parametrize(
    "numbers, owner",
    [
        (14_714_688, Owner("VGG16", None, False)),
        (138_357_544, Owner("VGG16", None, True)),
        (23_587_712, Owner("ResNet50", None, False)),
        (218_544, Owner("MobileNet", 0.25, False)),
        (4_253_864, Owner("MobileNet", 1.0, True)),
        (7_037_504, Owner("DenseNet121", None, False)),
        (54_336_736, Owner("InceptionResNetV2", None, False)),
        (4_269_716, Owner("NASNetMobile", None, False)),
        (27_820_128, Owner("ConvNeXtTiny", None, False)),
        (12_345, None),
    ],
)
def test_the_number_of_weights_names_the_base(numbers: int, owner: Owner | None) -> None:
    """The numbers were counted in networks that Keras built."""
    assert owner_of(numbers) == owner


def test_no_two_bases_have_as_many_weights() -> None:
    """Else the message would name the wrong one."""
    expected = 2 * sum(len(misfit._counts(info)) for info in BASES.values())
    assert len(misfit._owners()) == expected


def test_another_width_is_named(tmp_path: Path) -> None:
    """It is the most common mistake, and Keras speaks of shapes."""
    path = write(tmp_path / "w.h5", ("conv1", 829_536))
    text = explain_misfit(path, source(), (32, 32))
    assert "they are those of MobileNet with \x02alpha=0.5" in text


def test_another_base_is_named(tmp_path: Path) -> None:
    """As a name that can be given."""
    path = write(tmp_path / "w.h5", ("block1_conv1", 14_714_688))
    assert "those of VGG16; give it as \x02model" in explain_misfit(path, source("VGG19", None), (32, 32))


def test_another_release_is_named(tmp_path: Path) -> None:
    """As many numbers in another order: a ResNet50 of Keras 2.1 has its layers under other names."""
    path = write(tmp_path / "w.h5", ("res2a_branch2a", 23_587_712))
    text = explain_misfit(path, source("ResNet50", None), (32, 32))
    assert "its layers are res2a_branch2a" in text
    assert "another release of Keras" in text


def test_a_network_with_the_base_as_one_layer_is_named(tmp_path: Path) -> None:
    """Two layers with weights are not a base: the file is of a whole network."""
    path = write(tmp_path / "w.h5", ("mobilenet_0.25_64", 5000), ("dense", 20))
    text = explain_misfit(path, source(), (32, 32))
    assert "2 layers (mobilenet_0.25_64, dense)" in text
    assert "\x02layer\x03" in text


def test_weights_of_nothing_that_is_known_get_the_file_that_is_expected(tmp_path: Path) -> None:
    """With the words that are in the names of published files."""
    path = write(tmp_path / "w.h5", *((f"layer{number}", 10) for number in range(9)))
    assert "expected the file without the classifier" in explain_misfit(path, source(), (32, 32))
    assert "without no_top or notop" in explain_misfit(tmp_path / "none.h5", source(top=True), (32, 32))
