"""The summary: what a reader must know, in plain sentences, with the figures behind each."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featstore.evaluation.remarks import judged_split
from featstore.runs.titles import title_of
from featstore.system.figures import figure, with_interval
from featstore.system.text import count, listed

if TYPE_CHECKING:
    from featstore.auditing.findings import Check
    from featstore.auditing.result import Audit
    from featstore.comparison.learning_result import LearningCurve
    from featstore.evaluation.metrics import Metrics, UsedFor
    from featstore.runs.run import Run
    from featstore.runs.side_by_side import RunComparison
    from featstore.sweeping.result import Sweep

FLATTERED: dict[UsedFor | None, str] = {  # why an accuracy is too good
    "partly training": "the head was trained on copies of some of these images",
    "choosing": "these images also chose the head",
    "stopping": "these images also decided when the training ended",
}


def told_first(audit: Audit | None) -> list[Check]:
    """Return the checks that are told before any figure: alarms, and leaks however slight."""
    checks = audit.checks if audit else ()
    return [check for check in checks if check.weight == "alarm" or (check.name == "leaks" and check.findings)]


def summarize_report(
    *,
    run: Run,
    leaks: tuple[str, ...],
    audit: Audit | None,
    sweep: Sweep | None,
    comparison: RunComparison | None,
    learning: LearningCurve | None,
) -> tuple[str, ...]:
    """Return the sentences: whether the figures may be believed comes before any of them.

    leaks: what is known without an audit of images that were trained on and are held out.
    """
    split = judged_split(run.metrics)
    metrics = run.metrics[split] if split else None
    sentences = [*_on_trust(leaks, audit), *_on_head(run, split, metrics, is_best=bool(sweep or comparison))]
    if sweep:
        sentences += _on_tied(sweep)
    if comparison:
        sentences.append(comparison.finding)
    if learning:
        [head] = learning.heads
        measured = f"; measured with the head {head}" if learning.gain(head) else ""
        sentences += [text + measured for text in learning.findings()]
    if split and metrics:
        sentences += _on_looking(split, metrics)
    if audit:
        looks = [check for check in audit.of_weight("look") if check not in told_first(audit)]
        sentences += [f"{check.title}: {check.verdict}" for check in looks]
    sentences.append(
        f"the head is saved in {run.folder}; `featstore predict {shlex.quote(str(run.folder))} PHOTOS` uses it"
    )
    return tuple(map(_sentence, sentences))


def _on_trust(leaks: Sequence[str], audit: Audit | None) -> Iterator[str]:
    """Yield whether the figures may be believed; `leaks` are known without an audit."""
    found = told_first(audit)
    alarms = [*leaks, *(check.verdict for check in found if check.weight == "alarm")]
    if alarms:
        yield f"do not believe the figures yet: {'; '.join(alarms)}"
    elif audit:
        yield f"{len(audit.checks)} checks of the data found nothing that makes the figures wrong"
    yield from (check.verdict for check in found if check.weight != "alarm")
    if audit is None:
        yield "the data were not audited, so nothing is known of near copies in several splits, nor of wrong labels"


def _on_head(run: Run, split: str | None, metrics: Metrics | None, *, is_best: bool) -> Iterator[str]:
    """Yield how good the head is, and what it is to be measured by."""
    if split is None or metrics is None:
        yield "nothing tells how good the head is: no image was held out"
        return
    name = f"the {'best ' if is_best else ''}head, {title_of(run).removeprefix(f'{Path(run.data).stem}: ')},"
    right = round(metrics.accuracy * metrics.n)
    accuracy = with_interval(metrics.accuracy, metrics.accuracy_ci95)
    text = f"{name} is right for {right:,} of {count(metrics.n, f'{split} image')}: accuracy {accuracy}"
    yield f"{text}; too good: {FLATTERED[metrics.used_for]}" if metrics.used_for in FLATTERED else text
    if by_class := metrics.by_class:
        share = figure(by_class.commonest_share)
        verdict = "" if metrics.beats_commonest else ", and the head is not better than that beyond chance"
        yield f"always answering `{by_class.commonest}` would be right for {share} of them{verdict}"


def _on_tied(sweep: Sweep) -> Iterator[str]:
    """Yield which of the trials are not significantly different from the best."""
    if sweep.tried < 2:
        return
    tied = [row.head for row in sweep.rows[1:] if row.is_tied]
    where = f"the {sweep.n:,} images that are not of the test split"
    told = f"{sweep.tried:,} trials, each a head with its parameters, were measured on {where}"
    if not tied:
        yield f"{told}; the best is significantly better than all others that were finished"
    else:
        names = listed(list(dict.fromkeys(tied)), 6)
        are = "is" if len(tied) == 1 else "are"
        yield f"{told}; {len(tied):,} of the others {are} not significantly different from the best: {names}"


def _on_looking(split: str, metrics: Metrics) -> Iterator[str]:
    """Yield which images to look at first."""
    wrong = metrics.n - round(metrics.accuracy * metrics.n)
    if not wrong:
        yield f"no {split} image is answered wrongly"
        return
    often = f"; most often, {metrics.confused[0]}" if metrics.confused else ""
    yield f"look at the {count(wrong, f'wrong {split} answer')}{often}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
