"""Which keys go, and that nothing else does; and the list of what is there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from featstore.errors import StoreError, UsageError
from featstore.store import index as index_module
from featstore.store.keys import KeyInfo, describe_key, key_folders
from featstore.store.pruning import choose_keys, prune_key
from featstore.store.verify import verify_key
from helpers.cli import call
from helpers.keyfolder import SPEC, filled, folder_of, ids, key_of, open_key, put, rows, save, shard_files

DAY = 86400.0
OTHER = SPEC | {"layer": "other"}


def info(name: str, used: float, size: int) -> KeyInfo:
    return KeyInfo(Path(name), name, {}, 1, 1, size, used)


KEYS = [info("a", 30, 10), info("b", 10, 20), info("c", 20, 30), info("d", 40, 40)]


@pytest.mark.parametrize(
    "options, chosen",
    [
        ({}, "bcad"),
        ({"unused_since": 25}, "bc"),
        ({"unused_since": 10}, ""),
        ({"most_bytes": 100}, ""),
        ({"most_bytes": 99}, "b"),
        ({"most_bytes": 80}, "b"),
        ({"most_bytes": 79}, "bc"),
        ({"most_bytes": 0}, "bcad"),
        ({"most_bytes": 0, "unused_since": 25}, "bcad"),
        ({"most_bytes": 99, "unused_since": 25}, "bc"),
        ({"most_bytes": 49, "unused_since": 25}, "bca"),
        ({"named": {Path("d"), Path("a")}}, "ad"),
        ({"named": {Path("d"), Path("a")}, "most_bytes": 95}, "a"),
    ],
)
def test_the_longest_unused_go_first(options: dict[str, object], chosen: str) -> None:
    """Keys are selected by age, by name, or until the rest fits."""
    assert "".join(key.key for key in choose_keys(KEYS, **options)) == chosen  # type: ignore[arg-type]


def test_a_key_goes_whole(tmp_path: Path) -> None:
    """Leftovers and quarantine are removed too, and the folder of the model if it is then empty."""
    folder = filled(tmp_path)
    filled(tmp_path, spec=OTHER)
    (folder / ".tmp-1-00").touch()
    for inside in ("quarantine", "claims"):
        (folder / inside).mkdir()
        (folder / inside / "x").touch()
    assert prune_key(folder) == []
    assert not folder.exists()
    assert key_folders(tmp_path) == [folder_of(tmp_path, OTHER)]
    prune_key(folder_of(tmp_path, OTHER))
    assert os.listdir(tmp_path) == []


def test_all_parts_of_an_index_are_files_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large key has several: `verify` knows them, and they go with the key."""
    monkeypatch.setattr(index_module, "_SMALL", 2)
    monkeypatch.setattr(index_module, "_GROWTH", 2)
    for numbers in (range(12), range(12, 16), [16]):
        store = open_key(tmp_path)
        put(store, ids(*numbers), rows(*numbers))
        save(store)
    folder = folder_of(tmp_path)
    assert {path.name for path in folder.glob("index*")} == {"index", "index-1", "index-2"}
    found = verify_key(folder)
    assert (found.faults, found.notes) == ([], [])
    assert prune_key(folder) == []
    assert not folder.exists()


def test_files_of_others_stay(tmp_path: Path) -> None:
    """They are listed."""
    folder = filled(tmp_path)
    (folder / "notes.txt").write_text("mine")
    assert prune_key(folder) == ["notes.txt"]
    assert os.listdir(folder) == ["notes.txt"]


def test_a_key_in_use_stays(tmp_path: Path) -> None:
    """A process that extracts into it relies on the stored rows."""
    folder = filled(tmp_path)
    writer = open_key(tmp_path).writing()
    with pytest.raises(StoreError, match="in use by another process: try again later; nothing was changed"):
        prune_key(folder)
    writer.close()
    assert prune_key(folder) == []


def test_a_writer_goes_on_after_its_key_was_pruned(tmp_path: Path) -> None:
    """It opened the key before, and begins it again."""
    writer, reader = open_key(tmp_path), open_key(tmp_path)
    folder = filled(tmp_path)
    reader.refresh()
    prune_key(folder)
    with pytest.raises(StoreError, match="rows that were stored are gone"):
        reader.read(ids(0))
    with writer.writing() as writing:
        writing.append(ids(7), rows(7))
    assert [row in open_key(tmp_path) for row in ids(0, 7)] == [False, True]


def test_a_key_is_described(tmp_path: Path) -> None:
    """Rows, shards, bytes of all files, and when it was used."""
    folder = filled(tmp_path)
    before = time.time()
    os.utime(folder / "used", (before - DAY, before - DAY))
    found = describe_key(folder)
    assert (found.key, found.spec, found.rows, found.shards, found.problem) == (key_of(SPEC), SPEC, 6, 3, None)
    assert found.bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert found.last_used == pytest.approx(before - DAY)


def test_reading_and_extracting_are_uses(tmp_path: Path) -> None:
    """Listing is none."""
    folder = filled(tmp_path)

    def was_used(act: object) -> bool:
        os.utime(folder / "used", (1, 1))
        act()  # type: ignore[operator]
        return describe_key(folder).last_used > 1

    assert was_used(lambda: open_key(tmp_path).read(ids(0)))
    assert was_used(lambda: save(open_key(tmp_path)))
    assert not was_used(lambda: open_key(tmp_path))
    assert not was_used(lambda: call("cache", "ls", "--cache", tmp_path))
    assert not was_used(lambda: call("cache", "verify", "--cache", tmp_path))


def test_a_key_that_cannot_be_opened_is_listed_with_the_reason(tmp_path: Path) -> None:
    """It can be pruned."""
    folder = filled(tmp_path)
    (folder / "spec.json").unlink()
    found = describe_key(folder)
    assert (found.key, found.rows, found.shards) == (key_of(SPEC)[:12], None, 3)
    done = call("cache", "ls", "--cache", tmp_path)
    assert done.code == 0
    assert "spec.json: is missing; `featstore cache repair` makes it from a shard" in done.err
    assert call("cache", "prune", "--cache", tmp_path, "--key", found.key, "--yes").code == 0
    assert not folder.exists()


def test_ls_lists(tmp_path: Path) -> None:
    """One line for each key with what it is; JSON has all of it."""
    filled(tmp_path)
    filled(tmp_path, shards=1, spec=OTHER)
    (tmp_path / "digests").mkdir()
    lines = call("cache", "ls", "--cache", tmp_path).out.splitlines()
    assert lines[0].split() == [
        "key",
        "model",
        "variant",
        "size",
        "layer",
        "pool",
        "dtype",
        "rows",
        "shards",
        "MB",
        "last",
        "used",
    ]
    assert {tuple(line.split()[:9]) for line in lines[1:3]} == {
        (key_of(SPEC)[:12], "tiny", "tf", "32x32", "last", "avg", "float16", "6", "3"),
        (key_of(OTHER)[:12], "tiny", "tf", "32x32", "other", "avg", "float16", "2", "1"),
    }
    assert lines[3].startswith("2 keys, 8 rows, 0.03 MB")
    found = json.loads(call("cache", "ls", "--cache", tmp_path, "--json").out)
    assert {key["key"]: (key["rows"], key["spec"]) for key in found["keys"]} == {
        key_of(SPEC): (6, SPEC),
        key_of(OTHER): (2, OTHER),
    }
    assert found["bytes"] == sum(key["bytes"] for key in found["keys"])


def test_prune_is_a_dry_run_by_default(tmp_path: Path) -> None:
    """What would go is listed; --yes does it."""
    old, new = filled(tmp_path), filled(tmp_path, spec=OTHER)
    os.utime(old / "used", (time.time() - 31 * DAY, time.time() - 31 * DAY))
    done = call("cache", "prune", "--cache", tmp_path, "--older-than", "30d")
    assert (done.code, old.exists()) == (0, True)
    assert done.out.splitlines()[1].startswith(key_of(SPEC)[:12])
    assert done.out.splitlines()[2].startswith("would remove 1 key, ")
    found = json.loads(call("cache", "prune", "--cache", tmp_path, "--older-than", "30d", "--yes", "--json").out)
    assert ([key["key"] for key in found["keys"]], found["removed"], found["failed"]) == ([key_of(SPEC)], True, [])
    assert (old.exists(), new.exists()) == (False, True)


def test_prune_to_a_size(tmp_path: Path) -> None:
    """The longest unused goes, one is left."""
    old, new = filled(tmp_path), filled(tmp_path, spec=OTHER)
    os.utime(old / "used", (1, 1))
    size = describe_key(new).bytes
    call("cache", "prune", "--cache", tmp_path, "--max-size", f"{(size + 1023) // 1024}K", "--yes")
    assert (old.exists(), new.exists()) == (False, True)


def test_prune_says_which_key_is_in_use(tmp_path: Path) -> None:
    """The others go; exit code 1."""
    used, free = filled(tmp_path), filled(tmp_path, spec=OTHER)
    writer = open_key(tmp_path).writing()
    done = call("cache", "prune", "--cache", tmp_path, "--max-size", "0", "--yes")
    assert (done.code, used.exists(), free.exists()) == (1, True, False)
    assert f"{used}: in use by another process" in done.err
    writer.close()


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "expected a choice of keys"),
        (
            ["--older-than", "30"],
            "invalid value for '--older-than': 30: expected an age in minutes, hours, days or weeks",
        ),
        (["--max-size", "much"], "invalid value for '--max-size': much: expected a size, as in 512M or 2G"),
        (["--max-size", "5"], "invalid value for '--max-size': 5: expected a size with its unit, as in 5M or 5G"),
        (["--key", "zz"], "--key zz: no key in"),
        (["--key", ""], "--key '': no key in"),
    ],
)
def test_bad_options_are_usage_errors(tmp_path: Path, options: list[str], message: str) -> None:
    """One line, nothing removed."""
    folder = filled(tmp_path)
    done = call("cache", "prune", "--cache", tmp_path, "--yes", *options)
    assert done.code == 2
    assert message in done.err
    assert len(shard_files(folder)) == 3


def test_no_cache_is_an_error(tmp_path: Path) -> None:
    """One line names the option."""
    for command in ("ls", "verify", "repair", "compact"):
        done = call("cache", command, "--cache", tmp_path / "none")
        assert done.code == 1
        assert done.err == f"featstore: {tmp_path / 'none'}: no such folder; name it with --cache, or extract first\n"


def test_a_long_key_is_compared_to_its_end(tmp_path: Path) -> None:
    """The name of the folder has twelve digits of it, the spec has all."""
    folder = filled(tmp_path)
    whole = key_of(SPEC)
    assert key_folders(tmp_path, [whole]) == key_folders(tmp_path, [whole[:20].upper()]) == [folder]
    with pytest.raises(UsageError, match="no key in"):
        key_folders(tmp_path, [whole[:12] + "x"])


def test_a_folder_that_may_not_be_read_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed with the reason."""
    closed, other = filled(tmp_path), filled(tmp_path, spec=OTHER)
    real = os.listdir

    def refusing(path: object = ".") -> list[str]:
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied")
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "listdir", refusing)
    assert key_folders(tmp_path) == sorted([closed, other])


def test_what_listing_has_verified_is_kept(tmp_path: Path) -> None:
    """A cache that was copied has shards that no index knows: they are read once, and the key is not used by that."""
    folder = filled(tmp_path)
    (folder / "index").unlink()
    os.utime(folder / "used", (1, 1))
    describe_key(folder)
    assert (folder / "index").exists()
    assert (folder / "used").stat().st_mtime == 1
    writer = open_key(tmp_path).writing()
    (folder / "index").unlink()
    describe_key(folder)
    assert not (folder / "index").exists()
    writer.close()


def test_what_could_not_be_removed_is_not_counted(tmp_path: Path) -> None:
    """One of two keys is in use."""
    filled(tmp_path)
    filled(tmp_path, spec=OTHER)
    writer = open_key(tmp_path).writing()
    done = call("cache", "prune", "--cache", tmp_path, "--max-size", "0", "--yes", "--json")
    found = json.loads(done.out)
    assert ([key["key"] for key in found["keys"]], len(found["failed"])) == ([key_of(OTHER)], 1)
    writer.close()
    assert call("cache", "prune", "--cache", tmp_path, "--max-size", "0", "--yes").out.endswith("MB\n")
