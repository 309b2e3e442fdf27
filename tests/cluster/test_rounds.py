"""How the driver looks after the workers of a round. Ray and the foreman are fakes here."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from featstore.cluster import rounds
from featstore.cluster.capacity import Crew, Node
from featstore.cluster.foreman import Overview, Place, Refusal
from featstore.cluster.options import ClusterOptions
from featstore.cluster.rounds import Round, Site
from featstore.errors import StoreError, UsageError
from featstore.extraction.told import Advance
from featstore.system.progress import Silent

FIRST, SECOND = Node("n1", "alpha", 4, 0), Node("n2", "beta", 4, 0)
ON_FIRST, ON_SECOND = Place("w1", "n1", "alpha", 11), Place("w2", "n2", "beta", 12)


class Cluster:
    """Nodes that come and go, a clock, and what was done: workers that were ended, and lines that were told."""

    def __init__(self) -> None:
        self.nodes = [FIRST, SECOND]
        self.now = 0.0
        self.ended: list[str] = []
        self.lines: list[str] = []
        self.overview = Overview(
            (), (), frozenset(), {"w1": ON_FIRST, "w2": ON_SECOND}, {"w1": "worker 1", "w2": "worker 2"}
        )
        self.news: list[Any] = []

    def round(self, **options: Any) -> Round:
        class Told(Silent):
            tell = staticmethod(self.lines.append)

        bar: Any = type("Bar", (), {"show": staticmethod(self.news.append)})()
        task: Any = None
        made = Round(Site(ClusterOptions(**options)), task, Told(), bar)
        made._size = made._site.crew.workers
        return made


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(rounds, "list_nodes", lambda: made.nodes)
    monkeypatch.setattr(rounds, "_end", made.ended.append)
    monkeypatch.setattr(rounds.time, "monotonic", lambda: made.now)
    monkeypatch.setattr(Round, "_ask_foreman", lambda self: made.overview)
    return made


def test_progress_is_shown(cluster: Cluster) -> None:
    cluster.overview = cluster.overview._replace(news=(Advance(1, 5),))
    cluster.round()._look()
    assert cluster.news == [Advance(1, 5)]
    assert not cluster.ended


def test_a_refused_worker_is_named_with_its_node_which_gets_no_more_work(cluster: Cluster) -> None:
    """Neither in this round, for all workers of the node, nor in the next one. It is said once."""
    third = ON_SECOND._replace(worker="w3")
    cluster.overview = cluster.overview._replace(
        refusals=(Refusal(ON_SECOND, "computes other values"), Refusal(third, "computes other values")),
        places={"w1": ON_FIRST, "w2": ON_SECOND, "w3": third},
        handles={"w1": "worker 1", "w2": "worker 2", "w3": "worker 3"},
    )
    made = cluster.round()
    assert made._site.selector is None
    with pytest.warns(UserWarning) as told:
        made._look()
    assert [str(line.message) for line in told] == ["node beta (process 12) gets no more work: computes other values"]
    assert cluster.ended == ["worker 2", "worker 3"]
    assert made._site.selector == {"ray.io/node-id": "!in(n2)"}
    assert made._site.plan() == Crew(1, 4, 0)
    cluster.nodes = [SECOND]
    with pytest.raises(StoreError, match="computes other values"):
        made._site.plan()


def test_a_worker_whose_node_has_gone_is_given_up(cluster: Cluster) -> None:
    """After a while: Ray may start it again elsewhere, and else waits for ever."""
    made = cluster.round()
    cluster.nodes = [FIRST]
    cluster.now = 10
    made._look()
    cluster.now = 20
    made._look()
    assert not cluster.ended
    cluster.now = 30
    with pytest.warns(UserWarning, match="node beta has gone"):
        made._look()
    cluster.now = 40
    made._look()
    assert cluster.ended == ["worker 2"]


def test_a_worker_that_has_started_elsewhere_stays(cluster: Cluster) -> None:
    made = cluster.round()
    cluster.nodes = [FIRST]
    for cluster.now in (10, 20):
        made._look()
    cluster.overview = cluster.overview._replace(places={"w1": ON_FIRST, "w2": ON_SECOND._replace(node="n1")})
    for cluster.now in (30, 40, 50):
        made._look()
    assert not cluster.ended


def test_a_wait_for_room_is_said(cluster: Cluster) -> None:
    """Once. Ray says nothing where other jobs have taken the cores."""
    cluster.overview = cluster.overview._replace(places={}, handles={})
    made = cluster.round()
    for cluster.now in (30, 70, 90):
        made._look()
    [line] = cluster.lines
    assert line.startswith("no worker has started for 60 s")


def test_fewer_workers_will_do_once_a_node_has_gone(cluster: Cluster) -> None:
    """At first they are refused: the user can ask for fewer then."""
    site = Site(ClusterOptions(workers=10))
    assert site.crew.workers == 10
    cluster.nodes = [FIRST]
    assert site.plan() == Crew(8, 0.5, 0)
    with pytest.raises(UsageError):
        Site(ClusterOptions(workers=10))
    cluster.nodes = []
    with pytest.raises(StoreError, match="no node of the cluster is left"):
        site.plan()


def test_a_stop_does_not_wait_for_workers_that_were_given_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """They never end the block that they have begun."""
    fake: Any = SimpleNamespace(get=lambda *arguments, **options: None, exceptions=SimpleNamespace(RayError=OSError))
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(rounds, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(rounds.time, "sleep", lambda seconds: pytest.fail("it waits"))
    cluster.overview = cluster.overview._replace(busy=frozenset({"w2"}))
    made = cluster.round()
    made._foreman = SimpleNamespace(stop=SimpleNamespace(remote=lambda: None))
    made._dismissed.add("w2")
    made._stop(lambda answer: None)
