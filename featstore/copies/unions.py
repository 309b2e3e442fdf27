"""Which of n things are joined, directly or by way of others (union-find)."""

from __future__ import annotations


class Unions:
    """The things 0 to n - 1, each alone at first."""

    def __init__(self, n: int) -> None:
        self._above = list(range(n))

    def of(self, thing: int) -> int:
        """Return the thing that stands for all that are joined with this one."""
        above = self._above
        while above[thing] != thing:
            above[thing] = thing = above[above[thing]]
        return thing

    def join(self, one: int, other: int) -> None:
        self._above[self.of(other)] = self.of(one)

    def are_joined(self, one: int, other: int) -> bool:
        return self.of(one) == self.of(other)
