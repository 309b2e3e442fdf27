"""A disk that is really full in the middle of an extraction, then has space again."""

from __future__ import annotations

import json
from pathlib import Path

from featstore.datasets.sources import scan
from featstore.extraction.canary import NAMES
from featstore.store.keys import key_folders
from featstore.store.verify import Findings, verify_key
from helpers.cli import Cli
from helpers.disks import small_disk
from helpers.photos import write_photos

IMAGES, BATCH = 96, 32
STORED = 2 * BATCH - len(NAMES)  # the first batch has the images of the canary in it
SIDE = 224
BATCH_BYTES = BATCH * SIDE * SIDE * 3 * 2  # pixels in float16: each batch fills a shard


def test_an_extraction_goes_on_where_the_full_disk_stopped_it(cli: Cli, tmp_path: Path) -> None:
    """One line and exit code 1; what was stored is there; with space, the same command computes only the rest."""
    write_photos(tmp_path / "photos", IMAGES // 2)
    assert len(scan(tmp_path / "photos")) == IMAGES
    with small_disk(tmp_path / "disk", 4 * BATCH_BYTES) as disk:
        (disk / "ballast").write_bytes(bytes(int(1.5 * BATCH_BYTES)))
        command = ("extract", "photos", "--model", "pixels", "--size", SIDE, "--cache", "disk/cache")

        full = cli(*command, "--json")
        assert (full.returncode, full.stdout) == (1, "")
        line = full.stderr.splitlines()[-1]
        assert "No space left on device; free some space and run the same command again" in line
        assert found(disk).rows == STORED

        (disk / "ballast").unlink()
        again = cli(*command, "--json")
        assert again.returncode == 0
        [features] = json.loads(again.stdout)["features"]
        assert (features["computed"], features["reused"]) == (IMAGES - STORED, STORED)
        assert found(disk).rows == IMAGES


def found(disk: Path) -> Findings:
    """What a verification finds in the only key; nothing is wrong, and no temporary file takes space."""
    [folder] = key_folders(disk / "cache")
    findings = verify_key(folder)
    assert findings.faults == []
    assert not list(disk.rglob(".tmp-*"))
    return findings
