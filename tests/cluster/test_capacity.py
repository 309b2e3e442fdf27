"""How many workers fit: never more than Ray can start, since it would wait for them without a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featstore.cluster.capacity import LEAST_CPUS, Crew, Node, plan_crew
from featstore.errors import UsageError


def nodes(*sizes: tuple[float, float]) -> list[Node]:
    return [Node(str(number), f"node{number}", cpus, gpus) for number, (cpus, gpus) in enumerate(sizes)]


def test_a_worker_for_each_node_or_each_gpu() -> None:
    """With all cores that leave a place for the others."""
    assert plan_crew(nodes((8, 0)), None, None) == Crew(1, 8, 0)
    assert plan_crew(nodes((8, 0), (8, 0)), None, None) == Crew(2, 8, 0)
    assert plan_crew(nodes((16, 4), (16, 4)), None, None) == Crew(8, 4, 1)
    assert plan_crew(nodes((16, 4), (8, 0)), None, None) == Crew(4, 4, 1)


def test_as_many_as_were_asked_for() -> None:
    """They share nodes, and cores if there are fewer; two may share a GPU."""
    assert plan_crew(nodes((8, 0), (4, 0)), 3, None) == Crew(3, 4, 0)
    assert plan_crew(nodes((2, 0)), 4, None) == Crew(4, 0.5, 0)
    assert plan_crew(nodes((16, 1)), 2, 0.5) == Crew(2, 8, 0.5)
    assert plan_crew(nodes((16, 8)), None, 2) == Crew(4, 4, 2)


def test_more_than_fit_are_refused_in_one_line() -> None:
    """Unless fewer will do, as where a node has gone since the user asked."""
    with pytest.raises(
        UsageError, match=r"workers=5: 4 fit, with 0.5 cores each at the least; found 1 node with 2 cor"
    ):
        plan_crew(nodes((2, 0)), 5, None)
    with pytest.raises(UsageError, match=r"workers=3: 2 fit, with 0.5 cores and 1 GPUs"):
        plan_crew(nodes((16, 2)), 3, None)
    with pytest.raises(UsageError, match=r"workers=1: 0 fit"):
        plan_crew(nodes((8, 0)), None, 1)
    assert plan_crew(nodes((2, 0)), 5, None, at_most=True) == Crew(4, 0.5, 0)
    with pytest.raises(UsageError):
        plan_crew([], None, None, at_most=True)


@given(st.lists(st.tuples(st.integers(1, 64), st.integers(0, 8)), min_size=1, max_size=5), st.integers(1, 40))
def test_what_is_planned_fits(sizes: list[tuple[float, float]], workers: int) -> None:
    """On the nodes one by one, in amounts that Ray takes: whole cores above 1."""
    found = nodes(*sizes)
    try:
        crew = plan_crew(found, workers, 0)
    except UsageError:
        assert workers > sum(cpus for cpus, _ in sizes) / LEAST_CPUS
        return
    assert crew.workers == workers
    assert sum(int(node.cpus / crew.cpus + 1e-9) for node in found) >= workers
    assert crew.cpus >= LEAST_CPUS
    assert crew.cpus <= 1 or crew.cpus % 1 == 0


def test_a_crew_in_words() -> None:
    assert str(Crew(1, 8, 0)) == "1 worker with 8 cores"
    assert str(Crew(2, 1, 1)) == "2 workers, each with 1 core and 1 GPU"
