"""The checker: it finds every damage that is planted, and nothing where there is none."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featstore.store.compaction import compact_key
from featstore.store.disk_folder import DiskFolder
from featstore.store.index import load_index
from featstore.store.pruning import prune_key
from featstore.store.repair import repair_key
from featstore.store.verify import Findings, verify_key
from featstore.system.files import read_regular
from helpers.cli import call
from helpers.damage import (
    DAMAGE,
    OTHER,
    damage_spec,
    edit_spec,
    first,
    flip_a_bit,
    folder_for_shard,
    foreign_spec_file,
    lose_spec,
    lying_index,
    take_away,
)
from helpers.keyfolder import SPEC, filled, folder_of, ids, key_of, open_key, put, put_shard, rows, save, shard_files


@pytest.mark.parametrize("what", DAMAGE)
def test_planted_damage_is_found(what: str, tmp_path: Path) -> None:
    """Each kind, with the rows that it costs."""
    harm, reason, lost = DAMAGE[what]
    folder = filled(tmp_path)
    harm(folder)
    findings = verify_key(folder)
    assert findings.faults, f"the checker is broken: it does not see this damage: {what}"
    assert any(reason in fault.reason for fault in findings.faults)
    assert len(findings.lost) == lost
    assert all("\n" not in fault.reason for fault in findings.faults)


def test_a_sound_key_has_no_fault(tmp_path: Path) -> None:
    """Harmless leftovers are allowed, and what was read is counted."""
    folder = filled(tmp_path)
    size = sum(path.stat().st_size for path in shard_files(folder))
    findings = verify_key(folder)
    assert (findings.faults, findings.notes, findings.lost) == ([], [], [])
    assert (findings.shards, findings.checked, findings.rows, findings.bytes) == (3, 3, 6, size)
    put_shard(folder, [0, 90], rows(0, 90))  # of another writer, who did not come to save the index
    (folder / ".tmp-1-00").touch()
    (folder / "notes.txt").touch()
    findings = verify_key(folder)
    assert findings.faults == []
    assert findings.notes == [
        "1 shard not in the index yet: the next run takes them in",
        "1 temporary file of writers at work, or killed",
        "notes.txt is not a file of featstore's",
    ]
    (folder / "index").unlink()
    assert verify_key(folder).faults == []


def test_every_flipped_bit_of_a_shard_is_found(tmp_path: Path) -> None:
    """One byte of each sixteen, all its bits; test_shard flips every bit of the file in memory."""
    folder = filled(tmp_path, shards=1)
    path = first(folder)
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 16):
        data[place] ^= 1 << place // 16 % 8
        path.write_bytes(data)
        assert verify_key(folder).bad == [path.name], f"the checker is broken: byte {place}"
        data[place] ^= 1 << place // 16 % 8


def test_rows_that_moved_to_another_shard_are_not_lost(tmp_path: Path) -> None:
    """A compaction that was killed before it saved the index leaves one that lists shards that are gone."""
    folder = filled(tmp_path)
    put_shard(folder, [0, 1, 2, 3, 4, 5], rows(0, 1, 2, 3, 4, 5))
    for name in load_index(DiskFolder(folder)).shards:
        (folder / name).unlink()
    assert verify_key(folder).faults == []


def test_an_index_of_another_version_is_no_fault(tmp_path: Path) -> None:
    """It is derived, and made again."""
    folder = filled(tmp_path)
    body = b'{"version": 1}\n'
    (folder / "index").write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    findings = verify_key(folder)
    assert findings.faults == []
    assert "of another version" in findings.notes[0]


@pytest.mark.parametrize("share, shards, checked", [(0.1, 20, 2), (0.01, 20, 1), (0.5, 5, 3), (1.0, 5, 5)])
def test_a_subset_reads_that_share(tmp_path: Path, share: float, shards: int, checked: int) -> None:
    """Rounded up; each shard's turn comes."""
    folder = filled(tmp_path, shards=shards, each=1)
    seen: set[str] = set()
    for _ in range(400):
        findings = verify_key(folder, share)
        assert (findings.checked, findings.shards) == (checked, shards)
        assert findings.faults == []
        seen |= findings.good.keys()
        if len(seen) == shards:
            break
    assert len(seen) == shards


def test_a_missing_shard_is_found_by_a_subset_too(tmp_path: Path) -> None:
    """Names are compared whole, only bytes are sampled."""
    folder = filled(tmp_path, shards=20, each=1)
    take_away(folder)
    assert "is missing" in verify_key(folder, 0.1).faults[0].reason


def test_float16_rows_under_a_spec_of_float32(tmp_path: Path) -> None:
    """They are less exact than the key promises."""
    spec = SPEC | {"dtype": "float32"}
    store = open_key(tmp_path, spec)
    put(store, ids(0), rows(0).astype(np.float32))
    put_shard(folder_of(tmp_path, spec), [1], rows(1), spec)
    assert len(open_key(tmp_path, spec)) == 1
    findings = verify_key(folder_of(tmp_path, spec))
    assert [fault.reason for fault in findings.faults] == ["rows are float16, the spec says float32"]


def run(*arguments: object) -> tuple[int, str, str]:
    done = call("cache", *arguments)
    return done.code, done.out, done.err


def test_the_command_says_what_was_read(tmp_path: Path) -> None:
    """Exit code 0, one line; as JSON all the numbers."""
    filled(tmp_path)
    filled(tmp_path, shards=2, spec=OTHER)
    code, out, err = run("verify", "--cache", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("5 of 5 shards of 2 keys read, 10 rows, ")
    assert out.endswith("MB: all right\n")
    code, out, _ = run("verify", "--cache", tmp_path, "--json", "--subset", "50%", "--key", key_of(SPEC)[:8])
    found = json.loads(out)
    assert (code, found["keys"], found["shards"], found["checked"], found["faults"]) == (0, 1, 3, 2, [])


def test_the_command_has_a_line_for_each_fault(tmp_path: Path) -> None:
    """Exit code 1, the path and the reason, and what to do about it."""
    folder = filled(tmp_path)
    flip_a_bit(folder)
    lose_spec(folder)
    code, out, err = run("verify", "--cache", tmp_path)
    assert code == 1
    assert out.splitlines()[:2] == [
        f"{folder / 'spec.json'}: is missing",
        f"{first(folder)}: the bytes do not match the name: damaged",
    ]
    assert out.splitlines()[2].endswith("2 faults")
    assert "featstore cache repair" in err
    code, out, err = run("verify", "--cache", tmp_path, "--json")
    found = json.loads(out)
    assert (code, len(found["faults"]), found["lost"]) == (1, 2, 2)
    assert found["faults"][0] == {"path": str(folder / "spec.json"), "reason": "is missing"}


@pytest.mark.parametrize("subset", ["10", "0%", "101%", "-1%", "a%", "%", "1e1%"])
def test_a_subset_that_is_none_is_a_usage_error(tmp_path: Path, subset: str) -> None:
    """With exit code 2."""
    filled(tmp_path)
    code, out, err = run("verify", "--cache", tmp_path, "--subset", subset)
    assert (code, out) == (2, "")
    assert err.startswith(f"featstore: invalid value for '--subset': {subset}: expected a share in per cent, as in 10%")
    assert err.count("\n") == 1


def test_findings_of_an_ordinary_read_agree(tmp_path: Path) -> None:
    """What verification calls bad is what a store passes over."""
    for harm, _, lost in DAMAGE.values():
        cache = tmp_path / harm.__name__
        folder = filled(cache)
        if harm in (edit_spec, foreign_spec_file, damage_spec, lose_spec, lying_index, folder_for_shard):
            continue
        harm(folder)
        findings: Findings = verify_key(folder)
        store = open_key(cache)
        assert [row in store for row in ids(0, 1, 2, 3, 4, 5)].count(False) == lost
        assert len(store.damaged) <= len(findings.bad)


@pytest.mark.parametrize("name", ["spec.json", "index", "shard"])
def test_a_pipe_in_the_place_of_a_file_is_a_fault(tmp_path: Path, name: str) -> None:
    """It is not waited for."""
    folder = filled(tmp_path)
    path = first(folder) if name == "shard" else folder / name
    path.unlink()
    os.mkfifo(path)
    assert (path, True) in [(fault.path, "not a regular file" in fault.reason) for fault in verify_key(folder).faults]


def test_what_others_do_meanwhile_is_no_fault(tmp_path: Path) -> None:
    """An extraction, a compaction, or the key is pruned: after any shard that is read."""
    for number, act in enumerate((extract_more, compact_key, prune_key)):
        for when in (1, 2, 3):
            folder = filled(tmp_path / f"{number}-{when}")
            looks = []

            def meanwhile(
                looks: list[int] = looks, when: int = when, act: Callable = act, folder: Path = folder
            ) -> None:
                looks.append(1)
                if len(looks) == when:
                    act(folder)

            findings = verify_key(folder, on_shard=meanwhile)
            assert (findings.faults, findings.lost) == ([], [])


def extract_more(folder: Path) -> None:
    store = open_key(folder.parents[1])
    put(store, ids(50, 51), rows(50, 51))
    save(store)


def test_a_key_that_is_gone_has_no_fault(tmp_path: Path) -> None:
    """It was listed, and pruned before it was looked into."""
    findings = verify_key(tmp_path / "tiny" / "tf-32-000000000000")
    assert (findings.faults, findings.shards) == ([], 0)


def test_what_may_not_be_read_is_a_fault_and_left_where_it_is(tmp_path: Path) -> None:
    """Nothing need be wrong with it: a repair moves nothing, and says so."""
    folder = filled(tmp_path)
    for path in (shard_files(folder)[0], folder / "spec.json"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("featstore.store.disk_folder.read_regular", refusing(path))
            findings = verify_key(folder)
            assert (path, True) in [(fault.path, "Permission denied" in fault.reason) for fault in findings.faults]
            repaired = repair_key(folder)
        assert repaired.quarantined == ()
        assert any("Permission denied" in line for line in repaired.unmended)
    assert repair_key(folder).unmended == ()
    assert verify_key(folder).faults == []


def refusing(path: Path) -> Callable[[Path], object]:
    def read(asked: Path) -> object:
        if asked == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return read_regular(asked)

    return read
