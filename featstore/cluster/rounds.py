"""A round on Ray: blocks go to actors by Ray Data, and each answers.

Ray starts an actor again that has died, and runs its block again. It waits for ever where an actor has no node any
more: so the driver looks now and then, and gives such an actor up. Its blocks are asked for again in the next round.
"""

from __future__ import annotations

import pickle
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from featstore.cluster.capacity import Crew, plan_crew
from featstore.cluster.foreman import Foreman, Overview, Place
from featstore.cluster.options import ClusterOptions
from featstore.cluster.questions import TakeAnswer
from featstore.cluster.session import list_nodes
from featstore.cluster.work import Block, Task
from featstore.cluster.worker import Worker
from featstore.errors import ClusterUnavailable, StoreError
from featstore.extraction.told import Bar
from featstore.system.progress import Progress

_LOOK_SECONDS = 0.5  # between looks at what workers tell
_NODES_SECONDS = 5.0  # between looks at the nodes
_GONE_SECONDS = 15.0  # that a worker may take to start again elsewhere, once its node has gone
_SILENT_SECONDS = 60.0  # without a worker, before that is said
_STOP_SECONDS = 60.0  # for workers to store what they have made
_END_SECONDS = 30.0  # for Ray Data to end, once it is told to
_FOREMAN_SECONDS = 300.0  # for an answer that takes none, before Ray is given up


class Site:
    """The cluster as one job sees it: its nodes, those that are refused, and the workers that fit.

    A node is refused with the first worker that cannot make the rows: all its processes have the same environment.
    """

    def __init__(self, options: ClusterOptions) -> None:
        self._options = options
        self._refused: dict[str, str] = {}  # reasons by the id of the node
        self.crew = self.plan(at_most=False)

    def plan(self, at_most: bool = True) -> Crew:
        """Return the workers for the nodes that there are now; raises StoreError if none is left.

        at_most: whether fewer will do than were asked for, where fewer fit.
        """
        left = [node for node in list_nodes() if node.id not in self._refused]
        if not left:
            raise StoreError(next(iter(self._refused.values()), "no node of the cluster is left"))
        self.crew = plan_crew(left, self._options.workers, self._options.gpus, at_most)
        return self.crew

    def refuse(self, place: Place, reason: str) -> None:
        """Give the node of a worker no more work, and say so."""
        if place.node not in self._refused:
            self._refused[place.node] = reason
            warnings.warn(f"node {place.name} (process {place.process}) gets no more work: {reason}", stacklevel=2)

    def is_refused(self, place: Place) -> bool:
        return place.node in self._refused

    @property
    def selector(self) -> dict[str, str] | None:
        """The nodes for workers, as Ray takes it; None for all."""
        return {"ray.io/node-id": f"!in({','.join(self._refused)})"} if self._refused else None


class Round:
    """One run of Ray Data over some blocks."""

    def __init__(self, site: Site, task: Task, progress: Progress, bar: Bar) -> None:
        self._site, self._task, self._progress, self._bar = site, task, progress, bar
        self._answers: SimpleQueue[Any] = SimpleQueue()  # then None, or the error that has ended the run
        self._dismissed: set[str] = set()
        self._gone: dict[str, float] = {}  # since when the node of a worker is gone
        self._started = self._looked_at_nodes = time.monotonic()
        self._is_silent = True  # no worker has joined yet
        self._places: dict[str, Place] = {}
        self._handles: dict[str, Any] = {}
        self._size = 0

    def run(self, blocks: Sequence[Block], take: TakeAnswer) -> None:
        """Have `blocks` done, and give each answer to `take`. Returns when Ray has finished: maybe without answers.

        An interruption lets the workers store what they have made. No worker of the round runs afterwards.
        """
        import ray

        crew = self._site.plan()
        self._size = min(crew.workers, len(blocks))
        self._foreman = _start_foreman()
        answers, executor = self._prepare(blocks, crew)
        reader = threading.Thread(target=self._read, args=(answers,), name="featstore-answers", daemon=True)
        reader.start()
        try:
            self._follow(take)
        except ray.exceptions.RayError as error:
            raise ClusterUnavailable(f"Ray has failed: {_first_line(error)}; run the same command again") from error
        except BaseException:
            self._stop(take)
            raise
        finally:
            for handle in self._handles.values():
                _end(handle)
            _end_reading(reader, executor)
            _end(self._foreman)

    def _prepare(self, blocks: Sequence[Block], crew: Crew) -> tuple[Any, Any]:
        """Return the answers as a data set that nobody has worked on, and the part of Ray Data that will.

        That part is made here, as Ray Data makes it known no sooner than with the first answer, which may never come.
        """
        import ray.data

        rows = [{"block": pickle.dumps(block)} for block in blocks]
        worker: Any = Worker
        answers: Any = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            worker,
            fn_constructor_args=(self._foreman, pickle.dumps(self._task)),
            compute=ray.data.ActorPoolStrategy(size=self._size, max_tasks_in_flight_per_actor=2),
            num_cpus=crew.cpus,
            num_gpus=crew.gpus or None,
            label_selector=self._site.selector,
        )
        executor = answers._create_executor()
        answers._create_executor = lambda: executor
        return answers, executor

    def _read(self, answers: Any) -> None:
        """Run Ray Data, in a thread: the driver is to look after the workers meanwhile."""
        try:
            for row in answers.iter_rows():
                self._answers.put(pickle.loads(row["answer"]))
            self._answers.put(None)
        except BaseException as error:  # noqa: BLE001  # it is told to the thread that waits
            self._answers.put(error)

    def _follow(self, take: TakeAnswer) -> None:
        """Take answers until Ray has finished, and look after the workers."""
        looked = time.monotonic()
        while True:
            with suppress(Empty):
                answer = self._answers.get(timeout=_LOOK_SECONDS)
                if isinstance(answer, BaseException):
                    raise ClusterUnavailable(_why_it_failed(answer)) from answer
                if answer is None:
                    self._look()
                    return
                take(answer)
            if time.monotonic() - looked >= _LOOK_SECONDS:
                self._look()
                looked = time.monotonic()
                if len(self._dismissed) >= self._size and not self._handles.keys() - self._dismissed:
                    return  # Ray may wait for workers that will not come

    def _look(self) -> None:
        """Show how far the workers are, and give those up that are refused or that have no node any more."""
        overview = self._ask_foreman()
        self._places, self._handles = overview.places, overview.handles
        for news in overview.news:
            self._bar.show(news)
        for place, reason in overview.refusals:
            self._site.refuse(place, reason)
        for place in self._places.values():
            if self._site.is_refused(place):
                self._dismiss(place)
        now = time.monotonic()
        if now - self._looked_at_nodes > _NODES_SECONDS:
            self._looked_at_nodes = now
            self._look_at_nodes(now)
        if self._is_silent and not self._places and now - self._started > _SILENT_SECONDS:
            self._is_silent = False
            self._progress.tell(
                f"no worker has started for {_SILENT_SECONDS:.0f} s: Ray waits for room on the nodes for "
                f"{self._site.crew}"
            )

    def _look_at_nodes(self, now: float) -> None:
        alive = {node.id for node in list_nodes()}
        for worker, place in self._places.items():
            if place.node in alive:
                self._gone.pop(worker, None)
            elif now - self._gone.setdefault(worker, now) > _GONE_SECONDS and worker not in self._dismissed:
                warnings.warn(f"node {place.name} has gone; what it has left is computed by the others", stacklevel=2)
                self._dismiss(place)

    def _dismiss(self, place: Place) -> None:
        if place.worker not in self._dismissed:
            self._dismissed.add(place.worker)
            _end(self._handles[place.worker])

    def _stop(self, take: TakeAnswer) -> None:
        """Let the workers store what they have made, and take the answers that are on their way."""
        import ray

        with suppress(ray.exceptions.RayError):
            ray.get(self._foreman.stop.remote(), timeout=_FOREMAN_SECONDS)
            until = time.monotonic() + _STOP_SECONDS
            while time.monotonic() < until and self._ask_foreman().busy - self._dismissed:
                time.sleep(_LOOK_SECONDS)
        with suppress(Empty):
            while (answer := self._answers.get(timeout=_LOOK_SECONDS)) is not None:
                if not isinstance(answer, BaseException):
                    take(answer)

    def _ask_foreman(self) -> Overview:
        import ray

        overview: Overview = ray.get(self._foreman.look.remote(), timeout=_FOREMAN_SECONDS)
        return overview


def _start_foreman() -> Any:
    """Start the foreman on the node of this process, so that it lives as long."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor: Any = ray.remote(Foreman)
    return actor.options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here).remote()


def _end(handle: Any) -> None:
    """End an actor for good."""
    import ray

    with suppress(ray.exceptions.RayError, ValueError):
        ray.kill(handle, no_restart=True)


def _end_reading(reader: threading.Thread, executor: Any) -> None:
    """End a run of Ray Data that may wait for workers that have been given up.

    Left alone it would go on once this process has no connection any more, and start a Ray of its own then.
    """
    until = time.monotonic() + _END_SECONDS
    while reader.is_alive() and time.monotonic() < until:
        executor.shutdown(force=False)  # which does nothing before the thread has begun
        reader.join(_LOOK_SECONDS)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or repr(error)


def _why_it_failed(error: BaseException) -> str:
    """Return the line about a run that Ray has ended: most often its workers could not be started."""
    last = (str(error).strip().splitlines() or [repr(error)])[-1]
    return f"Ray has ended the job: {last}; the same featstore has to be installed on each node"
