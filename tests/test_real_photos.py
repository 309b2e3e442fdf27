"""Real files: what the collectors of broken and hostile images say about each of theirs."""

from __future__ import annotations

import csv
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import write_photos

from featstore.images.manifest import scan
from featstore.workflow import extract, load_features

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def nasty(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile files in one folder with good ones."""
    folder = tmp_path_factory.mktemp("nasty") / "mixed"
    shutil.copytree(real_data / "images" / "nasty", folder)
    for path in write_photos(folder.parent / "photos", 10).glob("*/*.png"):
        shutil.copy(path, folder / f"good-{path.parent.name}-{path.name}")
    return folder


def expected(real_data: Path) -> dict[str, str]:
    """What the manifest of the collection says that a reader should do, by file."""
    with (real_data / "images" / "nasty" / "MANIFEST.csv").open(newline="") as file:
        return {row["file"]: row["expect"] for row in csv.DictReader(file)}


def test_each_file_is_a_row_or_listed_as_its_manifest_says(nasty: Path, real_data: Path, tmp_path: Path) -> None:
    """What decodes has features, what does not is listed with a reason, and the good ones are not harmed."""
    extraction = extract(nasty, model="tiny", cache=tmp_path)
    rows = {Path(picture.path).name for picture in extraction.manifest.pictures}
    reasons = {Path(item.path).name: item.reason for item in extraction.manifest.skipped}
    assert rows.isdisjoint(reasons)
    assert rows | set(reasons) == {path.name for path in nasty.iterdir()}
    assert len([name for name in rows if name.startswith("good-")]) == 20
    assert all(reasons.values())
    refused = ("raises", "open raises", "opens, pixel decode raises", "huge declared size; must be refused cheaply")
    for name, expect in expected(real_data).items():
        if expect in refused:
            assert name in reasons, (name, expect)
        elif expect != "decode or refuse":
            assert name in rows, (name, expect, reasons.get(name))
    features = load_features(extraction.manifest, extraction.features[0].spec, cache=tmp_path)
    assert np.isfinite(features.X).all()


def test_hostile_files_cost_neither_memory_nor_time(real_data: Path, tmp_path: Path) -> None:
    """Files of a few bytes that declare gigapixels are refused by their headers."""
    folder = tmp_path / "bombs"
    folder.mkdir()
    for path in (real_data / "images" / "nasty").glob("bomb*"):
        shutil.copy(path, folder)
    write_photos(tmp_path / "photos", 1)
    shutil.copy(tmp_path / "photos" / "discs" / "000.png", folder / "good.png")
    extract(tmp_path / "photos", model="tiny", cache=tmp_path / "cache")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    extraction = extract(folder, model="tiny", cache=tmp_path / "cache")
    assert [Path(picture.path).name for picture in extraction.manifest.pictures] == ["good.png"]
    assert len(extraction.manifest.skipped) >= 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB, the most that was ever used
    assert time.perf_counter() - start < 20


def test_a_copy_in_another_place_has_the_same_splits(real_data: Path, tmp_path: Path) -> None:
    """Flowers with their folders moved are divided into the same images."""
    from featstore.images.splits import complete_splits

    source = real_data / "images" / "flowers5" / "train"
    for kind in sorted(source.iterdir())[:2]:
        for name in ("one", "two"):
            target = tmp_path / name / f"{kind.name}"
            target.mkdir(parents=True)
            for path in sorted(kind.iterdir())[:40]:
                shutil.copy(path, target / (path.name if name == "one" else f"moved-{path.name}"))
    divided = []
    for name in ("one", "two"):
        manifest = complete_splits(extract(scan(tmp_path / name), model="tiny", cache=tmp_path / "cache").manifest)
        divided.append({picture.digest: picture.split for picture in manifest.pictures})
    assert divided[0] == divided[1]
    assert set(divided[0].values()) == {"train", "val", "test"}
