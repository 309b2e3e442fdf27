"""Remarks: each is made where it is true, and none about a training that went well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from featstore.evaluation.metrics import Metrics, UsedFor, compute_metrics
from featstore.evaluation.remarks import Course, Remark, remark_on_course, remarks_on, remarks_on_several
from featstore.evaluation.units import Units


def measured(
    sizes: Sequence[int],
    right: Sequence[int],
    used_for: UsedFor = "measuring",
    sure: float = 0.9,
    units: Units | None = None,
) -> Metrics:
    """Return the metrics of images of classes of these `sizes`, of which `right` are right; others get class 0 or 1."""
    truth = np.repeat(np.arange(len(sizes)), sizes)
    answers = truth.copy()
    start = np.cumsum([0, *sizes])
    for number, (first, good, size) in enumerate(zip(start, right, sizes, strict=False)):
        answers[first + good : first + size] = 0 if number else 1
    probabilities = np.full((len(truth), len(sizes)), (1 - sure) / (len(sizes) - 1))
    probabilities[np.arange(len(truth)), answers] = sure
    names = ["cat", "dog", "emu", "fox", "gnu", "hen"][: len(sizes)]
    return compute_metrics(probabilities, [names[t] for t in truth], names, units, used_for)


def lines(course: Course | None = None, **metrics: Metrics) -> list[str]:
    return [str(remark) for remark in remarks_on(metrics, remark_on_course(course) if course else None)]


GOOD = {"train": measured([300, 300], [300, 300], "training"), "val": measured([100, 100], [96, 97], "stopping")}


def test_a_good_training_draws_no_remark() -> None:
    """Its accuracy is above the bar, all classes are found, and it stopped by itself."""
    good = {**GOOD, "test": measured([200, 200], [190, 195])}
    assert lines(Course(30, 20, 100, 10), **good) == []


def test_a_head_that_learnt_nothing() -> None:
    """It is not better than the commonest class, on its training images neither."""
    train = measured([300, 300], [300, 0], "training")
    test = measured([200, 200], [200, 0])
    first, second = lines(train=train, test=test)[:2]
    assert first == (
        "the accuracy on test cannot be told from that of always answering `cat`, 0.500: 0.500 [0.451, 0.549]; it is "
        "not better on its training images, so it has learnt nothing"
    )
    assert second == "some classes are never found on test: `dog` (200 images)"


def test_an_accuracy_below_that_of_the_commonest_class() -> None:
    """This is more than noise, and said so."""
    worse = measured([100, 100], [30, 30])
    assert lines(**GOOD, test=worse)[0].startswith("the accuracy on test is lower than that of always answering `cat`")


def test_a_head_that_finds_rare_classes_has_learnt_something() -> None:
    """Its accuracy is not above that of the commonest class, but its mean over the classes is above chance."""
    (first, *_) = lines(**GOOD, test=measured([180, 20], [164, 18]))
    assert first.endswith("; the mean over the classes is 0.906, above the 0.500 of chance")


def test_an_accuracy_that_is_that_of_the_large_classes() -> None:
    """Where the mean over the classes is clearly below it; not where it is by chance, or where no class is large."""
    (told,) = lines(**GOOD, test=measured([300, 60, 40], [298, 50, 10]))
    assert told == (
        "the accuracy on test is mostly that of the large classes: 0.895, but 0.692 as the mean over the classes; "
        "`emu` is found in 0.250 of its 40 images"
    )
    assert lines(**GOOD, test=measured([300, 60, 40], [298, 58, 37])) == []
    assert lines(**GOOD, test=measured([36, 8], [36, 6])) == []
    assert lines(**GOOD, test=measured([200, 200], [199, 140])) == []


def test_the_test_split_is_judged_not_the_others() -> None:
    """Without one it is the validation split."""
    nothing = measured([100, 100], [100, 0])
    assert any("test" in line for line in lines(**GOOD, test=nothing))
    assert all("on val" in line for line in lines(train=GOOD["train"], val=nothing))
    assert lines(train=nothing, test=measured([100, 100], [95, 95])) == []
    assert "on test" in lines(**GOOD, test=measured([100, 100], [100, 0], "partly training"))[0]


def test_nothing_held_out() -> None:
    """The accuracy of the training images is no accuracy."""
    assert lines(train=GOOD["train"]) == [
        "no image was held out: nothing is known of images that the head has not seen"
    ]


@pytest.mark.parametrize(
    ("course", "told"),
    [
        (Course(20, 20, 20, 10), True),
        (Course(20, 19, 20, 10), True),
        (Course(20, 18, 20, 10), False),
        (Course(5, 5, 5, 10), True),
        (Course(5, 4, 5, 10), False),
        (Course(20, 19, 20, 1), False),  # patience ended it
        (Course(19, 19, 100, 10), False),  # it was interrupted
        (Course(100, 92, 100, 10), True),
    ],
)
def test_a_training_that_epochs_ended(course: Course, told: bool) -> None:
    """The validation loss was lowest in the last tenth of the epochs."""
    found = lines(course, **GOOD, test=measured([200, 200], [190, 195]))
    assert len(found) == told
    if told:
        assert found == [
            f"epochs={course.most} ended the training early: the validation loss was lowest in epoch {course.best} of "
            f"{course.epochs}; try more epochs"
        ]


def test_a_training_without_a_validation_split() -> None:
    """Nothing says whether it was too long."""
    assert lines(Course(20, None, 20, 10), train=GOOD["train"], test=measured([200, 200], [190, 195])) == [
        "no image chose the epoch: without a validation split it is the last one, 20 of 20"
    ]


def test_few_images_say_it_all() -> None:
    """That an accuracy of 1 on two images cannot be told from 0.5 is no remark of its own; one of 0.5 is."""
    assert len(lines(**GOOD, test=measured([1, 1], [1, 1]))) == 1
    assert "cannot be told" in lines(**GOOD, test=measured([5, 5], [5, 0]))[0]
    assert not any("worse than none" in line for line in lines(**GOOD, test=measured([5, 5], [3, 3], sure=1 - 1e-9)))


def test_few_images() -> None:
    """Below 30 the interval is named; images of a few groups are few as well."""
    assert lines(**GOOD, test=measured([2, 1], [2, 1]))[-1] == (
        "few images in test: 3 images, so the accuracy may be anywhere from 0.439 to 1.000"
    )
    groups = Units(np.repeat(np.arange(10), 40).astype(str))
    assert (
        "few images in test: 400 images in 10 groups, so"
        in lines(**GOOD, test=measured([200, 200], [190, 195], units=groups))[0]
    )
    assert lines(**GOOD, test=measured([15, 15], [15, 15])) == []


def test_a_split_of_one_class() -> None:
    """Its share is 1, which no head can beat."""
    assert lines(**GOOD, test=measured([100, 0], [90, 0])) == [
        "all images of test are `cat`: they say nothing of the other classes"
    ]


def test_an_epoch_chosen_by_too_little() -> None:
    """The validation split is small, or has one class only."""
    test = measured([200, 200], [190, 195])
    train = GOOD["train"]
    assert lines(train=train, val=measured([2, 1], [2, 1], "stopping"), test=test) == [
        "few images chose the epoch: val has 3 images"
    ]
    assert lines(train=train, val=measured([50, 0], [50, 0], "stopping"), test=test) == [
        "one class chose the epoch: all images of val are `cat`"
    ]
    assert lines(train=train, val=measured([2, 1], [2, 1]), test=test) == []  # it chose nothing


def test_probabilities_that_are_worse_than_none() -> None:
    """A head that is sure of its mistakes has a larger log loss than the shares of the classes."""
    sure = measured([200, 200], [150, 150], sure=1 - 1e-9)
    assert lines(**GOOD, test=sure) == [
        "the probabilities on test are worse than none: log loss 5.181, and 0.693 for the shares of the classes"
    ]


def test_metrics_of_an_earlier_version_draw_no_remark_on_classes() -> None:
    """They do not know their classes."""
    assert lines(test=Metrics(n=400, accuracy=0.5, accuracy_ci95=(0.45, 0.55), log_loss=9.0)) == []


def test_many_names_are_cut_short() -> None:
    """Three are given, and the number of the others."""
    found = lines(**GOOD, test=measured([10, 10, 10, 10, 10, 10], [10, 0, 0, 0, 0, 0]))
    assert found[-2] == (
        "some classes are never found on test: `dog` (10 images), `emu` (10 images), `fox` (10 images) and 2 more"
    )


def test_remarks_on_several_heads_are_said_once() -> None:
    """Each names the heads that it is true of; one head alone keeps its figures."""
    low, early = Remark("it is low", "0.1"), Remark("it ended early", "epoch 5")
    assert remarks_on_several({"keras, one": [low, early], "raw, one": [low, early], "tf, one": [low]}) == [
        "it is low: all 3 rows",
        "it ended early: `keras, one`, `raw, one`",
    ]
    assert remarks_on_several({"a": [low]}) == ["it is low: 0.1"]
    assert remarks_on_several({"a": [], "b": []}) == []


@pytest.mark.parametrize(
    ("best", "epochs", "training_loss", "is_told"),
    [
        (1, 11, [4.7, 3.0, 2.6], True),
        (1, 11, [4.7, 3.0, 1.9], False),  # below the validation loss: it overfits
        (1, 11, [2.6, 2.6, 2.6], False),  # it does not learn
        (4, 14, [4.7, 3.0, 2.6], False),
        (1, 100, [4.7, 3.0, 2.6], False),  # the number of epochs ended it
    ],
)
def test_patience_that_ends_a_training_at_its_beginning(
    best: int, epochs: int, training_loss: list[float], is_told: bool
) -> None:
    """Strong dropout on few images: the validation loss rises first, while the head still learns."""
    course = Course(epochs, best, 100, 10, training_loss, [2.0, 2.0, 2.1, 2.0])
    remark = remark_on_course(course)
    assert is_told == (
        remark is not None and remark.what.startswith("patience=10 ended the training when it had hardly")
    )
    if is_told:
        assert "lowest in epoch 1 of 11, while the training loss fell from 4.700 to 2.600" in str(remark)
