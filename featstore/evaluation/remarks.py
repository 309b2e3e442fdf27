"""Remarks on a training and its figures: what a colleague would say on seeing them, the most important first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from featstore.evaluation.by_class import ByClass
from featstore.evaluation.metrics import Metrics
from featstore.system.figures import figure, interval, loss, with_interval
from featstore.system.text import count, listed

FEW = 30  # images, or groups of them: the 95 % interval of an accuracy of 0.9 on 30 is 0.24 wide
FEW_TO_STOP = 10  # images that choose the epoch
_TOO_SURE = 1.1  # log loss in that of the frequencies: a log loss has no interval, so a little more tells nothing
_A_LOT = 0.05  # of accuracy
_ORDER = ("test", "new", "val", "train")  # the split that is judged is the first that was held out
_HARDLY_BEGUN = 3  # epochs
_NAMED = 3  # names in a remark, at most


class Remark(NamedTuple):
    """A remark: `what` it says is the same for all heads that it is true of, and `detail` has the figures of one."""

    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.what}: {self.detail}"


class Course(NamedTuple):
    """How a training in epochs went.

    epochs: epochs that were run. best: the one of the smallest validation loss; None without a validation split. most,
    patience: as they were set. loss, val_loss: of each epoch, for a training that began from random weights.
    """

    epochs: int
    best: int | None
    most: int
    patience: int
    loss: Sequence[float] = ()
    val_loss: Sequence[float] = ()

    @property
    def had_hardly_begun(self) -> bool:
        """Whether patience ended a training whose first epochs were its best, but that did not overfit either.

        Strong dropout does this on few images: the training loss falls, but is still above the validation loss.
        """
        if not self.loss or self.best is None or self.best > _HARDLY_BEGUN or self.epochs == self.most:
            return False
        return self.val_loss[self.best - 1] < self.loss[-1] < self.loss[0]


def remark_on_course(course: Course) -> Remark | None:
    """Return a remark if nothing chose the epoch, or if patience or the number of epochs ended the training early."""
    if course.best is None:
        last = f"without a validation split it is the last one, {course.epochs} of {course.most}"
        return Remark("no image chose the epoch", last)
    if course.had_hardly_begun:
        losses = f"while the training loss fell from {loss(course.loss[0])} to {loss(course.loss[-1])}"
        detail = (
            f"the validation loss was lowest in epoch {course.best} of {course.epochs}, {losses}; try more patience"
        )
        return Remark(f"patience={course.patience} ended the training when it had hardly begun", detail)
    since_best = course.most - course.best
    if course.epochs < course.most or since_best >= min(course.patience, max(1, course.most / 10)):
        return None
    detail = f"the validation loss was lowest in epoch {course.best} of {course.epochs}; try more epochs"
    return Remark(f"epochs={course.most} ended the training early", detail)


def remarks_on(metrics: Mapping[str, Metrics], on_training: Remark | None = None) -> list[Remark]:
    """Return the remarks on the metrics by split of one head, with one `on_training` it in its place among them."""
    split = judged_split(metrics)
    if split is None:
        unseen = Remark("no image was held out", "nothing is known of images that the head has not seen")
        return [unseen, *([on_training] if on_training else [])]
    few = _on_size(split, metrics[split])
    return [
        *_on_classes(split, metrics, is_small=bool(few)),
        *([] if few else _on_loss(split, metrics[split])),
        *([on_training] if on_training else []),
        *few,
        *_on_stopping(metrics),
    ]


def judged_split(metrics: Mapping[str, Metrics]) -> str | None:
    """Return the split whose figures tell how good a head is: the first that was held out; None if none was."""
    in_order = sorted(metrics, key=lambda split: _ORDER.index(split) if split in _ORDER else 0)
    return next((split for split in in_order if metrics[split].used_for != "training"), None)


def remarks_on_several(remarks: Mapping[str, Sequence[Remark]]) -> list[str]:
    """Return the remarks on several heads, by name, as one line for each thing that is said, with the heads' names."""
    if len(remarks) == 1:
        return [str(remark) for some in remarks.values() for remark in some]
    heads_of: dict[str, list[str]] = {}
    for name, some in remarks.items():
        for remark in some:
            heads_of.setdefault(remark.what, []).append(f"`{name}`")
    return [
        f"{what}: {f'all {len(names)} rows' if len(names) == len(remarks) else listed(names, _NAMED)}"
        for what, names in heads_of.items()
    ]


def remark_line(text: str) -> str:
    """Return a remark as a line below a table."""
    return f"remark: {text}"


def _on_classes(split: str, metrics: Mapping[str, Metrics], is_small: bool) -> list[Remark]:
    """Return what is wrong with the answers for the classes, against always giving the commonest one.

    is_small: whether the split has few images: then an accuracy that is above the bar but not significantly so says
        only that they are few.
    """
    by_class = metrics[split].by_class
    if by_class is None:
        return []
    if by_class.classes == 1:
        return [Remark(f"all images of {split} are `{by_class.commonest}`", "they say nothing of the other classes")]
    remarks = []
    is_above = metrics[split].accuracy > by_class.commonest_share
    if not metrics[split].beats_commonest and not (is_small and is_above):
        relation = "is lower than" if by_class.gain_ci95[1] < 0 else "cannot be told from"
        always = f"that of always answering `{by_class.commonest}`, {figure(by_class.commonest_share)}"
        detail = with_interval(metrics[split].accuracy, metrics[split].accuracy_ci95)
        detail += _what_was_learnt(by_class, metrics.get("train"))
        remarks.append(Remark(f"the accuracy on {split} {relation} {always}", detail))
    if by_class.never_found:
        names = [f"`{name}` ({count(n, 'image')})" for name, n in by_class.never_found.items()]
        remarks.append(Remark(f"some classes are never found on {split}", listed(names, _NAMED)))
    if not remarks and _misleads(metrics[split].accuracy, by_class):
        detail = (
            f"{figure(metrics[split].accuracy)}, but {figure(by_class.balanced_accuracy)} as the mean over the classes"
        )
        detail += _hardest(metrics[split])
        remarks.append(Remark(f"the accuracy on {split} is mostly that of the large classes", detail))
    return remarks


def _misleads(accuracy: float, by_class: ByClass) -> bool:
    """Whether the mean over the classes is below the accuracy, by much and significantly."""
    return by_class.balanced_accuracy < accuracy - _A_LOT and by_class.balanced_accuracy_ci95[1] < accuracy


def _hardest(m: Metrics) -> str:
    """Return the class that is found least as text; empty if that is not known."""
    known = [c for c in m.per_class or () if c.found is not None]
    if not known:
        return ""
    least = min(known, key=lambda c: c.found or 0.0)
    return f"; `{least.name}` is found in {figure(least.found or 0.0)} of its {count(least.n, 'image')}"


def _what_was_learnt(held_out: ByClass, train: Metrics | None) -> str:
    """Return, for a head that is not better than the commonest class, whether it has learnt anything else."""
    if held_out.beats_chance:
        mean, chance = figure(held_out.balanced_accuracy), figure(1 / held_out.classes)
        return f"; the mean over the classes is {mean}, above the {chance} of chance"
    if train and not train.beats_commonest:
        return "; it is not better on its training images, so it has learnt nothing"
    return ""


def _on_loss(split: str, m: Metrics) -> list[Remark]:
    """Return a remark on a head that is so sure of wrong answers that giving the shares of the classes beats it."""
    if m.by_class is None or m.by_class.classes == 1 or m.log_loss <= _TOO_SURE * m.by_class.frequencies_log_loss:
        return []
    detail = f"log loss {loss(m.log_loss)}, and {loss(m.by_class.frequencies_log_loss)} for the shares of the classes"
    return [Remark(f"the probabilities on {split} are worse than none", detail)]


def _on_size(split: str, m: Metrics) -> list[Remark]:
    if (m.groups or m.n) >= FEW:
        return []
    images = count(m.n, "image") if m.groups is None else f"{count(m.n, 'image')} in {count(m.groups, 'group')}"
    detail = f"{images}, so the accuracy may be anywhere from {interval(m.accuracy_ci95)}"
    return [Remark(f"few images in {split}", detail)]


def _on_stopping(metrics: Mapping[str, Metrics]) -> list[Remark]:
    """Return a remark on a validation split that chose the epoch, but is too small or one-sided for that."""
    m = metrics.get("val")
    if m is None or m.used_for != "stopping" or m.by_class is None:
        return []
    if m.by_class.classes == 1:
        return [Remark("one class chose the epoch", f"all images of val are `{m.by_class.commonest}`")]
    return [Remark("few images chose the epoch", f"val has {count(m.n, 'image')}")] if m.n < FEW_TO_STOP else []
