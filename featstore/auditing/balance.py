"""The check of the class balance: what is there too rarely to be learnt or measured."""

from __future__ import annotations

from collections import Counter, defaultdict

from featstore.auditing.findings import Check
from featstore.auditing.subject import Subject
from featstore.datasets.manifest import SPLITS
from featstore.system.figures import percent
from featstore.system.text import Table, listed

TITLE = "Class balance"
UNEQUAL = 10  # times as many images in the largest class as in the smallest
FEW = 10  # images of a class in a split: fewer say little about it
_ROWS = 12  # of the table


def check_balance(subject: Subject) -> Check:
    """Compare the sizes of the classes in each split. Copies of one picture count once."""
    classes = subject.manifest.classes
    if not classes:
        return Check(name="balance", title=TITLE, weight="fine", verdict="not checked: no image has a label")
    sizes = _sizes(subject)
    splits = [split for split in SPLITS if sizes[split]]
    total: Counter[str] = sum((sizes[split] for split in sizes), Counter())
    largest, smallest = (pick(classes, key=lambda name: total[name]) for pick in (max, min))
    absent = {split: [name for name in classes if not sizes[split][name]] for split in splits}
    few = {split: [name for name in classes if 0 < sizes[split][name] < FEW] for split in splits}
    ratio = total[largest] / total[smallest]
    told = [
        *(f"no image of {listed(names)} in {split}" for split, names in absent.items() if names),
        *(f"fewer than {FEW} pictures of {listed(names)} in {split}" for split, names in few.items() if names),
        *([f"{ratio:.0f} times as many of {largest} as of {smallest}"] if ratio >= UNEQUAL else []),
    ]
    usual = f"{len(classes)} classes, {total[smallest]:,} to {total[largest]:,} pictures each"
    if len(classes) == 1:
        usual = f"a single class, {largest}"
    commonest = total[largest] / total.total()
    return Check(
        name="balance",
        title=TITLE,
        weight="look" if any(absent.values()) else "note" if told else "fine",
        verdict=f"{'; '.join(told) or usual}; always answering {largest} is right on {percent(commonest)}",
        figures={
            "pictures": {name: {split: sizes[split][name] for split in splits} for name in classes},
            "ratio": ratio,
            "commonest": commonest,
        },
        table=_table(sizes, splits, classes) if told else None,
        advice="add images where there are few; macro F1 and balanced accuracy count each class alike" if told else "",
    )


def _sizes(subject: Subject) -> dict[str, Counter[str]]:
    """Return how many pictures there are of each class by split; `all` is the split of images without one."""
    names = subject.copies.unit_names([p._replace(group=None) for p in subject.labelled])
    pictures = {(p.split or "all", p.class_name, name) for p, name in zip(subject.labelled, names, strict=True)}
    sizes: dict[str, Counter[str]] = defaultdict(Counter)
    for split, label, _ in pictures:
        sizes[split][label] += 1
    return sizes


def _table(sizes: dict[str, Counter[str]], splits: list[str], classes: tuple[str, ...]) -> Table:
    """Return the pictures by class and split, of the smallest classes if there are many."""
    rarest = sorted(classes, key=lambda name: sum(sizes[split][name] for split in splits))[:_ROWS]
    return Table(["class", *splits], [[name, *(f"{sizes[split][name]:,}" for split in splits)] for name in rarest])
