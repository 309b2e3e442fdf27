"""The memory of file digests: it returns the right digest or none."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from featstore.datasets import digests
from featstore.datasets.digests import DigestMemory
from featstore.system.files import FileStat
from featstore.system.stamps import FOREIGN_NS, LOCAL_NS

LATER = 10**19
DIGEST = "ab" * 32


def state(path: Path) -> FileStat:
    return FileStat.of(path.stat())


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(b"one")
    return path


def remembered(tmp_path: Path, image: Path) -> None:
    memory = DigestMemory(tmp_path / "digests", clock=lambda: LATER)
    remember(memory, image)
    memory.save()


def remember(memory: DigestMemory, image: Path, grain: int | None = LOCAL_NS) -> None:
    """Look the file up, as everyone does who then reads it, and remember its digest."""
    memory.get(str(image), state(image))
    memory.remember(str(image), state(image), DIGEST, grain)


def test_a_digest_outlives_the_process(tmp_path: Path, image: Path) -> None:
    """A saved digest is known to the next memory, for that state of the file only."""
    remembered(tmp_path, image)
    memory = DigestMemory(tmp_path / "digests")
    assert memory.get(str(image), state(image)) == DIGEST
    for field in FileStat._fields:
        changed = state(image)._replace(**{field: 7})
        assert memory.get(str(image), changed) is None


def test_other_bytes_under_the_same_name_size_and_mtime_are_noticed(tmp_path: Path, image: Path) -> None:
    """A program can set the mtime back, but not the change time."""
    remembered(tmp_path, image)
    before = image.stat()
    time.sleep(0.02)
    image.write_bytes(b"two")
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert state(image)[:2] == (before.st_size, before.st_mtime_ns)
    assert DigestMemory(tmp_path / "digests").get(str(image), state(image)) is None


@pytest.mark.parametrize("grain", [LOCAL_NS, FOREIGN_NS])
@pytest.mark.parametrize(("older", "known"), [(-1, False), (1, True)])
def test_files_changed_just_now_are_not_remembered(
    tmp_path: Path, image: Path, grain: int, older: int, known: bool
) -> None:
    """Within the grain of the clock another change could have the same stamps."""
    now = max(state(image).mtime_ns, state(image).ctime_ns) + grain + older
    memory = DigestMemory(tmp_path / "digests", clock=lambda: now)
    remember(memory, image, grain)
    assert (memory.get(str(image), state(image)) == DIGEST) is known


def test_stamps_of_the_future_are_not_trusted(tmp_path: Path, image: Path) -> None:
    """The clock that made them goes wrong, so the next ones may be the same."""
    os.utime(image, ns=(0, time.time_ns() + 10**12))
    memory = DigestMemory(tmp_path / "digests", clock=lambda: time.time_ns() + 10**11)
    remember(memory, image)
    assert memory.get(str(image), state(image)) is None


def test_files_without_stamps_are_not_remembered(tmp_path: Path, image: Path) -> None:
    """However old they are."""
    memory = DigestMemory(tmp_path / "digests", clock=lambda: LATER)
    remember(memory, image, None)
    assert memory.get(str(image), state(image)) is None


def test_a_file_that_was_not_looked_up_is_not_remembered(tmp_path: Path, image: Path) -> None:
    """Nobody knows how old its stamps were when the bytes were read."""
    memory = DigestMemory(tmp_path / "digests", clock=lambda: LATER)
    memory.remember(str(image), state(image), DIGEST, LOCAL_NS)
    assert memory.get(str(image), state(image)) is None


def test_a_rehash_trusts_only_what_it_has_seen_itself(tmp_path: Path, image: Path) -> None:
    """It renews what others remember; what was last known is still known."""
    remembered(tmp_path, image)
    memory = DigestMemory(tmp_path / "digests", clock=lambda: LATER, rehash=True)
    assert memory.get(str(image), state(image)) is None
    assert memory.last_known(str(image)) == DIGEST
    memory.remember(str(image), state(image), "cd" * 32, LOCAL_NS)
    assert memory.get(str(image), state(image)) == "cd" * 32
    memory.save()
    assert DigestMemory(tmp_path / "digests").get(str(image), state(image)) == "cd" * 32


def test_a_damaged_file_counts_as_missing(tmp_path: Path, image: Path) -> None:
    """Every changed byte is noticed, and the digest is unknown."""
    remembered(tmp_path, image)
    [file] = (tmp_path / "digests").iterdir()
    good = file.read_bytes()
    for place in range(len(good)):
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert DigestMemory(tmp_path / "digests").get(str(image), state(image)) is None


def test_a_pipe_in_the_place_of_a_file_counts_as_missing(tmp_path: Path, image: Path) -> None:
    """It is not waited for, and the next save replaces it."""
    remembered(tmp_path, image)
    [file] = (tmp_path / "digests").iterdir()
    file.unlink()
    os.mkfifo(file)
    assert DigestMemory(tmp_path / "digests").get(str(image), state(image)) is None
    assert DigestMemory(tmp_path / "digests").paths([DIGEST]) == {}
    remembered(tmp_path, image)
    assert DigestMemory(tmp_path / "digests").get(str(image), state(image)) == DIGEST


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, image: Path) -> None:
    """Saving raises nothing."""
    (tmp_path / "digests").write_text("a file where the folder should be")
    remembered(tmp_path, image)


def test_digests_saved_by_other_processes_are_known_after_a_refresh(tmp_path: Path, image: Path) -> None:
    """Digests that are not saved yet are kept."""
    other = tmp_path / "elsewhere" / "image.png"
    other.parent.mkdir()
    other.write_bytes(b"other")
    memory = DigestMemory(tmp_path / "digests", clock=lambda: LATER)
    assert memory.get(str(image), state(image)) is None
    remember(memory, other)
    remembered(tmp_path, image)
    assert memory.get(str(image), state(image)) is None
    memory.refresh()
    assert memory.get(str(image), state(image)) == memory.get(str(other), state(other)) == DIGEST
    memory.save()
    assert DigestMemory(tmp_path / "digests").get(str(other), state(other)) == DIGEST


def test_processes_save_next_to_each_other(tmp_path: Path) -> None:
    """Of one folder of images, each keeps what the others have saved; of one file, the last to read it is right."""
    images = [tmp_path / f"{number}.png" for number in range(3)]
    for image in images:
        image.write_bytes(b"bytes")
    first, second = (DigestMemory(tmp_path / "digests", clock=lambda: LATER) for _ in range(2))
    remember(first, images[0])
    remember(second, images[1])
    first.save()
    second.save()
    remember(first, images[2])
    first.save()
    fresh = DigestMemory(tmp_path / "digests")
    assert [fresh.get(str(image), state(image)) for image in images] == [DIGEST] * 3


def test_a_refresh_reads_only_changed_files(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the memory itself wrote is not read again."""
    memory = DigestMemory(tmp_path / "digests", clock=lambda: LATER)
    remember(memory, image)
    memory.save()
    monkeypatch.setattr(digests, "_read", pytest.fail)
    for _ in range(2):
        memory.refresh()
        assert memory.get(str(image), state(image)) == DIGEST


def test_the_first_unsuccessful_look_up_is_the_time_that_counts(tmp_path: Path, image: Path) -> None:
    """If two threads read a file at once, the earlier one may have read other bytes."""
    changed = max(state(image).mtime_ns, state(image).ctime_ns)
    times = iter([changed + 1, changed + LOCAL_NS + 1, changed + LOCAL_NS + 2, changed + LOCAL_NS + 3])
    memory = DigestMemory(tmp_path / "digests", clock=lambda: next(times))
    for _ in range(2):
        assert memory.get(str(image), state(image)) is None
    memory.remember(str(image), state(image), DIGEST, LOCAL_NS)
    assert memory.get(str(image), state(image)) is None


def test_many_files_are_looked_up_as_one(tmp_path: Path, image: Path) -> None:
    """In their order; one that is not known may be remembered afterwards, as after `get`."""
    remembered(tmp_path, image)
    memory, other = DigestMemory(tmp_path / "digests", clock=lambda: LATER), tmp_path / "other.png"
    other.write_bytes(b"two")
    files = [(str(path), state(path)) for path in (other, image, other)]
    assert memory.get_all(files) == [None, DIGEST, None]
    memory.remember(str(other), state(other), "cd" * 32, LOCAL_NS)
    assert memory.get_all(files) == ["cd" * 32, DIGEST, "cd" * 32]
