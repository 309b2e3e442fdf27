"""The diagnosis of a machine: what was found, what is wrong, and what a data set would cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from featstore.diagnosis.topic import Problem, Topic
from featstore.errors import spelled
from featstore.extraction.forecast import Forecast
from featstore.system.text import Shown


@dataclass(frozen=True, kw_only=True, repr=False)
class Diagnosis(Shown):
    """What is installed and found; `print` shows a line for each topic, then what is wrong and what to do.

    Attributes:
        topics: What was found, in words and as values.
        forecasts: What an extraction would take, for each set of features; none without data.
    """

    topics: tuple[Topic, ...]
    forecasts: tuple[Forecast, ...] = ()

    @property
    def problems(self) -> Sequence[Problem]:
        """What is wrong: `text` says what to do, `fails` whether a command surely fails."""
        return [problem for topic in self.topics for problem in topic.problems]

    @property
    def fails(self) -> bool:
        """Whether something here surely makes a command fail."""
        return any(problem.fails for problem in self.problems)

    def parts(self) -> Iterator[str]:
        """Yield a line for each topic, each forecast and each problem."""
        yield from (f"{topic.name}: {topic.text}" for topic in self.topics)
        yield from (f"forecast: {made}" for made in self.forecasts)
        yield from self.problem_lines() or ["nothing is wrong"]

    def problem_lines(self) -> list[str]:
        """Return a line for each problem: a note, or what surely fails."""
        return [f"{'fails' if fails else 'note'}: {spelled(text)}" for text, fails in self.problems]

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values, as `featstore doctor --json` prints them."""
        topics = {topic.name.lower().replace(" ", "_"): dict(topic.facts) for topic in self.topics}
        return {
            **topics,
            "forecasts": [made.describe() for made in self.forecasts],
            "problems": [{"text": spelled(text), "fails": fails} for text, fails in self.problems],
        }
