"""A pass: images wait for a full batch, calls run beside each other, and each row goes to the stores that lack it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.errors import StoreError
from featstore.extraction.passes import FIRST_BATCH, IMAGES_AHEAD, Pass, PassQueue
from featstore.extraction.writer import RowQueue, Task
from featstore.store.rowid import RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from helpers.passes import FakeNetwork


def rid(number: int) -> RowId:
    return row_id(f"{number:064x}")


def image(number: int) -> np.ndarray:
    return np.full((2, 2, 3), number, np.uint8)


class Base:
    """The mean of an image, three times; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(images[:, 0, 0, 0].tolist())
        return images.mean(axis=(1, 2), dtype=np.float32)


def store(folder: Path, name: str = "key") -> RowStore:
    return RowStore(folder / name, key_of({}), "{}", dict)


def new_queue(the_pass: Pass) -> PassQueue:
    return PassQueue(the_pass, [RowQueue(task, task.store.writing()) for task in the_pass.tasks])


def one(folder: Path, network: FakeNetwork, **more: Any) -> PassQueue:
    return new_queue(Pass([Task(store(folder))], lambda images: network, **more))


def fill(queue: PassQueue, numbers: range, wanted: tuple[int, ...] = (0,)) -> None:
    for number in numbers:
        queue.add(rid(number), image(number), wanted)


def test_the_network_sees_full_batches_and_the_rest_at_the_end(tmp_path: Path) -> None:
    """Images are in the order in which they were added; then all rows are on disk."""
    base = Base()
    queue = one(tmp_path, FakeNetwork(base, batch=8))
    fill(queue, range(FIRST_BATCH + 13))
    assert len(store(tmp_path)) == 0
    queue.flush()
    last = FIRST_BATCH + 8
    assert base.batches == [[*range(FIRST_BATCH)], [*range(FIRST_BATCH, last)], [*range(last, last + 5)]]
    assert queue.queues[0].computed == len(store(tmp_path)) == FIRST_BATCH + 13
    assert store(tmp_path).read([rid(n) for n in (7, last + 1)]).tolist() == [[7] * 3, [last + 1] * 3]
    queue.flush()
    assert len(base.batches) == 3


def test_the_network_is_told_how_many_images_come(tmp_path: Path) -> None:
    """So that no choice of an engine costs more than it saves. Without images it is not loaded."""
    told: list[int] = []
    queue = new_queue(Pass([Task(store(tmp_path))], lambda images: told.append(images) or FakeNetwork(Base())))
    queue.expected = 500
    queue.flush()
    assert (told, queue.made_with()) == ([], {})
    fill(queue, range(FIRST_BATCH + 40))
    queue.flush()
    assert (told, queue.made_with()) == ([500], {"engine": "fake"})


def test_the_canary_comes_before_the_first_images(tmp_path: Path) -> None:
    """Each task checks its own output, with the engine, before any row is stored."""
    checked: list[tuple[str, dict[str, list[float]], dict[str, str]]] = []

    def task(name: str) -> Task:
        def check(rows: Mapping[str, np.ndarray], made_with: Mapping[str, str]) -> None:
            checked.append((name, {image: row.tolist() for image, row in rows.items()}, dict(made_with)))

        return Task(store(tmp_path, name), check=check)

    base = Base()
    network = FakeNetwork(base, lambda images: images.max(axis=(1, 2)) * np.float32(2))
    canary = {"x.png": image(200), "y.jpg": image(100)}
    queue = new_queue(Pass([task("a"), task("b")], lambda images: network, canary=lambda: canary))
    fill(queue, range(FIRST_BATCH + 2), (0, 1))
    queue.flush()
    assert [len(batch) for batch in base.batches] == [FIRST_BATCH, 4]
    assert base.batches[0][:3] == [200, 100, 0]
    assert checked == [
        ("a", {"x.png": [200] * 3, "y.jpg": [100] * 3}, {"engine": "fake"}),
        ("b", {"x.png": [400] * 3, "y.jpg": [200] * 3}, {"engine": "fake"}),
    ]
    assert store(tmp_path, "b").read([rid(0), rid(20)]).tolist() == [[0] * 3, [40] * 3]


def test_a_canary_that_is_refused_stores_nothing(tmp_path: Path) -> None:
    """The rows of the batch it came with are not kept either."""

    def check(rows: object, made_with: object) -> None:
        raise StoreError("differs")

    queue = new_queue(Pass([Task(store(tmp_path), check=check)], lambda images: FakeNetwork(Base())))
    fill(queue, range(3))
    with pytest.raises(StoreError, match="differs"):
        queue.flush()
    queue.stop()
    assert len(store(tmp_path)) == 0


def test_each_store_gets_the_rows_that_it_lacks(tmp_path: Path) -> None:
    """One call of the network serves both; what a store has is left out."""
    base = Base()
    network = FakeNetwork(base, lambda images: -images.mean(axis=(1, 2), dtype=np.float32))
    queue = new_queue(Pass([Task(store(tmp_path, "a")), Task(store(tmp_path, "b"))], lambda images: network))
    fill(queue, range(5), (0, 1))
    fill(queue, range(5, 8), (1,))
    queue.flush()
    assert base.batches == [[*range(8)]]
    assert [queue.computed for queue in queue.queues] == [5, 8]
    assert store(tmp_path, "a").read([rid(n) for n in range(5)])[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert store(tmp_path, "b").read([rid(n) for n in range(8)])[:, 0].tolist() == [0, -1, -2, -3, -4, -5, -6, -7]
    assert rid(6) not in store(tmp_path, "a")


def test_calls_run_beside_each_other_and_rows_keep_their_images(tmp_path: Path) -> None:
    """As many as the network allows; a call that is done first waits for those before it."""
    together, late = threading.Barrier(3, timeout=10), threading.Event()

    def slow_first(images: np.ndarray) -> np.ndarray:
        number = int(images[0, 0, 0, 0])
        if number >= FIRST_BATCH:
            together.wait()
            if number == FIRST_BATCH:
                late.wait(10)
            elif number == FIRST_BATCH + 8:
                late.set()
        return images.mean(axis=(1, 2), dtype=np.float32)

    queue = one(tmp_path, FakeNetwork(slow_first, batch=4, calls=3))
    fill(queue, range(FIRST_BATCH + 12))
    queue.flush()
    numbers = range(FIRST_BATCH + 12)
    assert store(tmp_path).read([rid(n) for n in numbers])[:, 0].tolist() == [*numbers]


def test_few_images_wait_for_the_network(tmp_path: Path) -> None:
    """Reading stops while the network is busy, so that memory is bounded."""
    go, added = threading.Event(), []

    def slow(images: np.ndarray) -> np.ndarray:
        assert len(images) == FIRST_BATCH or go.wait(10)
        return images.mean(axis=(1, 2), dtype=np.float32)

    queue = one(tmp_path, FakeNetwork(slow, batch=4, calls=2))

    def read() -> None:
        for number in range(FIRST_BATCH + 200):
            queue.add(rid(number), image(number % 256), (0,))
            added.append(number)

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.3)
    assert len(added) <= FIRST_BATCH + IMAGES_AHEAD + 4 * 3
    go.set()
    reader.join(10)
    queue.flush()
    assert len(store(tmp_path)) == FIRST_BATCH + 200


def test_what_runs_when_a_pass_is_stopped_is_kept(tmp_path: Path) -> None:
    """The call that runs is waited for and its rows are stored; no call begins, and waiting images are given up."""
    began, seen = threading.Event(), []

    def slow(images: np.ndarray) -> np.ndarray:
        seen.append(int(images[0, 0, 0, 0]))
        if seen[-1] == FIRST_BATCH + 4:
            began.set()
            time.sleep(0.2)
        return images.mean(axis=(1, 2), dtype=np.float32)

    queue = one(tmp_path, FakeNetwork(slow, batch=4))
    fill(queue, range(FIRST_BATCH + 14))
    assert began.wait(10)
    queue.stop()
    assert seen == [0, FIRST_BATCH, FIRST_BATCH + 4]
    assert len(store(tmp_path)) == FIRST_BATCH + 8
    queue.stop()
    assert len(store(tmp_path)) == FIRST_BATCH + 8
    queue.close()


def test_an_error_of_a_call_is_raised_and_what_was_made_before_it_is_stored(tmp_path: Path) -> None:
    """The failed call gives no rows."""

    def failing(images: np.ndarray) -> np.ndarray:
        if images[0, 0, 0, 0] == FIRST_BATCH + 4:
            raise RuntimeError("out of memory")
        return images.mean(axis=(1, 2), dtype=np.float32)

    queue = one(tmp_path, FakeNetwork(failing, batch=4))
    with pytest.raises(RuntimeError, match="out of memory"):
        fill(queue, range(FIRST_BATCH + 40))
        queue.flush()
    queue.stop()
    assert len(store(tmp_path)) >= FIRST_BATCH + 4
    assert rid(FIRST_BATCH + 4) not in store(tmp_path)
    queue.close()
