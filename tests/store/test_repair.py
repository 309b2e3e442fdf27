"""Repair: bad files moved aside, leftovers of the dead cleared, derived files made again, nothing else touched."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import numpy as np
import pytest

from featstore.errors import StoreError
from featstore.store.repair import repair_key
from featstore.store.verify import verify_key
from helpers.cli import call
from helpers.damage import DAMAGE, flip_a_bit, lose_spec
from helpers.keyfolder import SPEC, filled, folder_of, ids, open_key, put, put_shard, rows, save, shard_files
from helpers.photos import write_photos


@pytest.mark.parametrize("what", DAMAGE)
def test_whatever_was_damaged_is_sound_afterwards(what: str, tmp_path: Path) -> None:
    """The rows that are left are right, what is bad is kept aside, and the missing ones can be stored again."""
    harm, _, lost = DAMAGE[what]
    folder = filled(tmp_path)
    harm(folder)
    findings = verify_key(folder)
    repaired = repair_key(folder)
    assert repaired.unmended == ()
    assert set(findings.bad) <= {name.split(".h5")[0] + ".h5" for name in os.listdir(folder / "quarantine")} | set()
    again = verify_key(folder)
    assert (again.faults, again.notes) == ([], [])
    store = open_key(tmp_path)
    absent = [n for n in range(6) if ids(n)[0] not in store]
    assert len(absent) == lost == len(repaired.findings.lost)
    kept = [n for n in range(6) if n not in absent]
    assert np.array_equal(store.read(ids(*kept)), rows(*kept))
    if absent:
        put(store, ids(*absent), rows(*absent))
    save(store)
    assert verify_key(folder).faults == []
    assert np.array_equal(open_key(tmp_path).read(ids(*range(6))), rows(*range(6)))


@pytest.fixture(autouse=True)
def quarantine_exists(tmp_path: Path) -> None:
    """Make the folder, so that it can be listed if nothing was moved."""
    (folder_of(tmp_path) / "quarantine").mkdir(parents=True)


def test_a_sound_key_is_left_as_it_is(tmp_path: Path) -> None:
    """Shards and spec keep their bytes and times; the index its bytes."""
    folder = filled(tmp_path)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir() if path.is_file()}
    repaired = repair_key(folder)
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir() if path.is_file()}
    assert (repaired.quarantined, repaired.cleared, repaired.restored) == ((), 0, False)
    assert after["index"][0] == before["index"][0]
    assert {name: kept for name, kept in after.items() if name.startswith("s")} == {
        name: kept for name, kept in before.items() if name.startswith("s")
    }


def test_the_bad_file_is_kept(tmp_path: Path) -> None:
    """It is moved unchanged, and a second one of the same name gets another name."""
    folder = filled(tmp_path)
    bad = shard_files(folder)[0]
    for number, place in enumerate((f"quarantine/{bad.name}", f"quarantine/{bad.name}.2")):
        bad.write_bytes(bytes([number]))
        assert repair_key(folder).quarantined == (bad.name,)
        assert (folder / place).read_bytes() == bytes([number])


def test_leftovers_of_the_dead_are_cleared_and_those_of_the_living_kept(tmp_path: Path) -> None:
    """A writer holds a lock on its temporary file, and on its claims."""
    folder = filled(tmp_path)
    (folder / "claims").mkdir()
    dead = [folder / ".tmp-1-00", folder / "claims" / "1-00"]
    living = [folder / ".tmp-2-00", folder / "claims" / "2-00"]
    for path in dead + living:
        path.write_bytes(b"x")
    handles = [path.open("rb") for path in living]
    for handle in handles:
        fcntl.flock(handle, fcntl.LOCK_EX)
    assert repair_key(folder).cleared == 2
    assert [path.exists() for path in dead + living] == [False, False, True, True]
    for handle in handles:
        handle.close()
    assert repair_key(folder).cleared == 2
    assert not (folder / "claims").exists()


def test_a_link_in_the_place_of_a_leftover_is_not_followed(tmp_path: Path) -> None:
    """Nor is what it points to removed."""
    folder = filled(tmp_path)
    victim = tmp_path / "victim"
    victim.touch()
    (folder / ".tmp-1-00").symlink_to(victim)
    repair_key(folder)
    assert victim.exists()


def test_the_spec_comes_back_from_a_shard(tmp_path: Path) -> None:
    """What the shards say of themselves is what it said, the canary aside."""
    folder = filled(tmp_path)
    before = json.loads((folder / "spec.json").read_text())
    lose_spec(folder)
    assert repair_key(folder).restored
    assert json.loads((folder / "spec.json").read_text()) == before


def test_a_key_without_a_good_shard_and_spec_is_named(tmp_path: Path) -> None:
    """There is nothing to make it from."""
    folder = filled(tmp_path, shards=1)
    flip_a_bit(folder)
    lose_spec(folder)
    repaired = repair_key(folder)
    assert "no good shard to make it from" in repaired.unmended[0]
    assert repaired.quarantined


def test_bad_shards_that_no_index_knows_are_counted(tmp_path: Path) -> None:
    """Nobody can say which images they held."""
    folder = filled(tmp_path)
    (folder / "index").unlink()
    flip_a_bit(folder)
    findings = repair_key(folder).findings
    assert (findings.unknown, findings.lost) == (1, [])


def test_a_key_in_use_is_left_alone(tmp_path: Path) -> None:
    """A writer could be replacing the very shard that is bad."""
    folder = filled(tmp_path)
    writer = open_key(tmp_path).writing()
    flip_a_bit(folder)
    with pytest.raises(StoreError, match="in use by another process: try again later; nothing was changed"):
        repair_key(folder)
    writer.close()
    assert repair_key(folder).quarantined


def test_rows_that_another_shard_has_as_well_are_not_lost(tmp_path: Path) -> None:
    """Two writers made them."""
    folder = filled(tmp_path)
    put_shard(folder, [0, 1, 2, 3, 4, 5, 6], rows(0, 1, 2, 3, 4, 5, 6))
    flip_a_bit(folder)
    assert repair_key(folder).findings.lost == []


def test_the_command_names_the_images_to_extract_again(tmp_path: Path) -> None:
    """It names their paths, and the next extraction computes just those."""
    photos, cache = write_photos(tmp_path / "photos", 4), tmp_path / "real"
    for path in photos.rglob("*.png"):  # else their digests are too fresh to be remembered
        os.utime(path, (1, 1))
    arguments = ("extract", photos, "--model", "pixels", "--size", "8", "--cache", cache, "--json")
    assert json.loads(call(*arguments).out)["features"][0]["computed"] == 8
    extra = write_photos(tmp_path / "photos", 6)
    assert json.loads(call(*arguments).out)["features"][0]["computed"] == 4
    folder = next(cache.glob("pixels/*"))
    bad = next(path for path in shard_files(folder) if len(verify_key(folder).good[path.name][1].ids) == 4 * 34)
    bad.write_bytes(b"damaged")
    done = call("cache", "repair", "--cache", cache, "--json")
    images = json.loads(done.out)["images"]
    assert done.code == 0
    assert len(images) == 4
    known = {str(path) for path in extra.rglob("00[45].png")}
    assert {image for image in images if not image.startswith("sha256:")} <= known
    assert json.loads(call(*arguments).out)["features"][0]["computed"] == 4
    assert call("cache", "verify", "--cache", cache, "--quiet").code == 0


def test_the_command_goes_on_with_other_keys_and_fails_in_the_end(tmp_path: Path) -> None:
    """One key is in use; the other is mended."""
    filled(tmp_path)
    other = filled(tmp_path, spec=SPEC | {"layer": "other"})
    flip_a_bit(other)
    writer = open_key(tmp_path).writing()
    done = call("cache", "repair", "--cache", tmp_path)
    assert done.code == 1
    assert "in use by another process" in done.err
    assert "1 file moved to" in done.out
    writer.close()
    assert call("cache", "repair", "--cache", tmp_path).code == 0


@pytest.mark.parametrize("what", ["spec", "shard"])
def test_files_of_a_newer_format_are_left_alone(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with them: the release that wrote them is named, and nothing is moved."""
    folder = filled(tmp_path)
    with monkeypatch.context() as patch:
        if what == "shard":
            patch.setattr("featstore.store.shard.FORMAT_VERSION", 2)
            put_shard(folder, [90], rows(90))
        else:
            text = (folder / "spec.json").read_text()
            (folder / "spec.json").write_text(text.replace('"format_version": 1', '"format_version": 2'))
    flip_a_bit(folder)
    before = sorted(os.listdir(folder))
    findings = verify_key(folder)
    assert any("install that release or a later one" in fault.reason for fault in findings.faults)
    with pytest.raises(StoreError, match=r"written by featstore-keras 0\.1\.0: install.*; nothing was changed"):
        repair_key(folder)
    assert sorted(os.listdir(folder)) == before


def test_an_extraction_says_what_it_passed_over(tmp_path: Path) -> None:
    """Its rows are made again, and the damage does not go unseen."""
    photos = write_photos(tmp_path / "photos", 2)
    arguments = ("extract", photos, "--model", "pixels", "--size", "8", "--cache", tmp_path / "real")
    call(*arguments)
    folder = next((tmp_path / "real").glob("pixels/*"))
    flip_a_bit(folder)
    bad = shard_files(folder)[0].name
    assert f"{folder}: passed over 1 damaged shard: `featstore cache repair`" in call(*arguments).err
    shard_files(folder)[0].write_bytes(b"again")
    [features] = json.loads(call(*arguments, "--json").out)["features"]
    assert features["computed"] == 4
    assert features["damaged"] == [f"{bad}: the bytes do not match the name: damaged"]
