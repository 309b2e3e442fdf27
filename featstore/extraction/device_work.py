"""What a process that computes on one device is asked to do, what it tells, and its life.

It is started with a pipe, and ends with it: when nobody is left who reads what it tells, it stores what it has made
and stops. Ctrl-C is for the process that has started it. TensorFlow loads here with the first row that is missing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from featstore.errors import BaseUnavailable, DataError, FeatstoreError, param
from featstore.extraction.told import News, Reporter
from featstore.system.cores import stay_on
from featstore.system.environment import limit_threads

if TYPE_CHECKING:
    from featstore.datasets.manifest import Manifest
    from featstore.extraction.cache import Cache
    from featstore.extraction.devices import Device
    from featstore.extraction.divided import Costs
    from featstore.extraction.plan import Plan

_SAVE_SECONDS = 5.0


class Place(NamedTuple):
    """Where a process computes; the first thing that it is sent."""

    device: Device
    cores: tuple[int, ...]
    cache: Cache


class Work(NamedTuple):
    """Images whose rows are missing.

    mine: the share of this process. others: those of the others, of which it takes what is left when its own are done.
    augmented: whether it is the augmented rows of the plans that are asked for.
    """

    mine: Manifest
    others: Manifest
    plans: tuple[Plan, ...]
    augmented: bool


class Done(NamedTuple):
    """The work is done, with what it has cost here."""

    costs: Costs


Told = News | Done | FeatstoreError


class Stopped(BaseException):
    """The process was told to stop, by the signal of this number."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number


def serve(descriptor: int) -> None:
    """Do the work that comes through a pipe, until its other end is closed."""
    connection: Connection = Connection(descriptor)
    try:
        place: Place = connection.recv()
        stay_on(place.cores)
        limit_threads(len(place.cores))
        with _stopped_by_signals():
            _serve(connection, place)
    except Stopped as stopped:
        sys.exit(stopped.exit_code)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(128 + signal.SIGTERM)  # nobody is there to be told


def _serve(connection: Connection, place: Place) -> None:
    waiting: SimpleQueue[Work | None] = SimpleQueue()
    busy = threading.Event()

    def listen() -> None:
        try:
            while True:
                waiting.put(connection.recv())
        except (EOFError, OSError):
            waiting.put(None)
            if busy.is_set():
                os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, name="featstore-listen", daemon=True).start()
    try:
        _find_gpu(place.device)
        while (work := waiting.get()) is not None:
            busy.set()
            try:
                done = _do(work, place.cache, connection)
            finally:
                busy.clear()
            connection.send(done)
    except FeatstoreError as error:
        connection.send(error)


def _do(work: Work, cache: Cache, connection: Connection) -> Done:
    """Complete the rows of the own share, then what is left of the others'."""
    from featstore.extraction.divided import Costs
    from featstore.extraction.pipeline import extract_augmented, extract_planned

    costs = Costs()
    for manifest in (work.mine, work.others):
        cache.digests.refresh()  # the others have read most of their images by now
        progress = _SavingReporter(connection, cache, is_own=manifest is work.mine)
        try:
            if work.augmented:
                costs.add_sets(extract_augmented(manifest, work.plans, cache, progress))
            elif manifest.pictures:
                extraction = extract_planned(manifest, work.plans, cache, progress)
                costs.add_sets(extraction.features)
                costs.brightest |= extraction.brightest
        except DataError:
            pass  # images that cannot be read: who has started this process meets and tells them
        progress.flush()
    return Done(costs)


def _find_gpu(device: Device) -> None:
    """Raise BaseUnavailable if TensorFlow cannot use the GPU that was named: it would compute on the cores instead."""
    if device.gpu is None:
        return
    from featstore.system.tensorflow_loader import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        raise BaseUnavailable(
            f"{param('devices', str(device.gpu.number))}: TensorFlow cannot use {device.gpu.name} here: install what "
            "it needs with `pip install 'tensorflow[and-cuda]'`, or leave the GPU out"
        )


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Raise Stopped where a signal would end the process, so that rows that are made are stored."""

    def stop(number: int, frame: object) -> None:
        for name in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)  # once is enough
        raise Stopped(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` sets it
            signal.signal(number, stop)
    yield


class _SavingReporter(Reporter):
    """A reporter that also saves the digests of files now and then, so that other processes need not read these."""

    def __init__(self, connection: Connection, cache: Cache, is_own: bool) -> None:
        super().__init__(connection.send, is_own)
        self._cache = cache
        self._saved = time.monotonic()

    def advance(self, computed: bool) -> None:
        super().advance(computed)
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self._cache.digests.save()
            self._saved = time.monotonic()
