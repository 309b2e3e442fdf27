"""The bookkeeping of the driver: all is answered, or asked for again, or named."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featstore.cluster.questions import FATAL, IDLE_ROUNDS, MOST_FATAL, MOST_IMAGES, AskAll, Questions, TakeAnswer
from featstore.cluster.work import Answer, Block
from featstore.datasets.manifest import Picture, Skipped
from featstore.errors import StoreError
from featstore.system.files import FileStat

STATE = FileStat(1, 2, 3, 4)


def pictures(images: int) -> list[Picture]:
    return [Picture(f"/photos/{number}.png", STATE) for number in range(images)]


def done(block: Block, *broken: str) -> Answer:
    """The answer to a block whose images can all be read but `broken`."""
    complete = [p.with_digest("0" * 64) for p in block.pictures if p.path not in broken]
    skipped = [Skipped(p.path, "is not an image") for p in block.pictures if p.path in broken]
    return Answer(block.number, "done", tuple(complete), (), tuple(skipped))


def test_each_image_is_asked_for_once() -> None:
    """In several blocks for each worker, of whole batches with the canary in the first; broken files have reasons."""
    sizes: list[int] = []

    def answer_all(blocks: Sequence[Block], take: TakeAnswer) -> None:
        for block in blocks:
            sizes.append(len(block.pictures))
            take(done(block, "/photos/7.png"))

    questions = Questions(pictures(1000), workers=2)
    questions.ask(answer_all)
    assert sizes == [156] * 6 + [64]
    assert (sizes[0] + 4) % 32 == 0
    assert len(questions.done) == 999
    assert questions.skipped == [Skipped("/photos/7.png", "is not an image")]
    sizes.clear()
    Questions(pictures(100_000), workers=1).ask(answer_all)
    assert MOST_IMAGES <= max(sizes) < MOST_IMAGES + 32


def test_what_has_no_answer_is_asked_for_again() -> None:
    """Ray calls a run finished that has answered nothing: the driver compares answers with questions."""
    rounds: list[int] = []

    def answer_some(blocks: Sequence[Block], take: TakeAnswer) -> None:
        rounds.append(sum(len(block.pictures) for block in blocks))
        for block in blocks[: len(rounds) - 1 or None] if len(rounds) > 1 else ():
            take(done(block))
            take(done(block))  # one that Ray has run twice

    questions = Questions(pictures(300), workers=1)
    questions.ask(answer_some)
    assert rounds[:2] == [300, 300]
    assert len(questions.done) == 300


def test_a_job_that_is_never_answered_is_given_up() -> None:
    """It does not go on for ever, and the line names an image."""
    rounds: list[int] = []
    with pytest.raises(StoreError, match=r"without an answer for 40 images, the first: /photos/0.png"):
        Questions(pictures(40), workers=2).ask(lambda blocks, take: rounds.append(len(blocks)))
    assert len(rounds) == IDLE_ROUNDS


def test_a_file_that_ends_its_worker_costs_itself_alone() -> None:
    """The images of its block are asked for one by one, and it is named among the skipped files."""
    fatal = "/photos/40.png"
    alone: list[int] = []

    def answer(blocks: Sequence[Block], take: TakeAnswer) -> None:
        alone.append(sum(len(block.pictures) == 1 for block in blocks))
        for block in blocks:
            is_fatal = any(picture.path == fatal for picture in block.pictures)
            take(Answer(block.number, "fatal") if is_fatal else done(block))

    questions = Questions(pictures(96), workers=1)
    questions.ask(answer)
    assert alone == [0, 28]
    assert questions.skipped == [Skipped(fatal, FATAL)]
    assert len(questions.done) == 95


@given(st.integers(0, 2**32), st.integers(1, 400), st.integers(1, 4))
def test_whatever_is_lost_all_is_answered(seed: int, images: int, workers: int) -> None:
    """Answers that are lost, late, repeated or out of order, and files that kill: each image has one fate."""
    chance = random.Random(seed)
    fatal = {f"/photos/{number}.png" for number in range(images) if chance.random() < 0.02}
    broken = {f"/photos/{number}.png" for number in range(images) if chance.random() < 0.05} - fatal
    late: list[Answer] = []

    def answer(blocks: Sequence[Block], take: TakeAnswer) -> None:
        for old in late:
            take(old)
        late.clear()
        for block in sorted(blocks, key=lambda _: chance.random()):
            is_fatal = any(picture.path in fatal for picture in block.pictures)
            made = Answer(block.number, "fatal") if is_fatal else done(block, *broken)
            match chance.choice(("lost", "late", "twice", "once", "once")):
                case "late":
                    late.append(made)
                case "twice":
                    take(made)
                    take(made)
                case "once":
                    take(made)

    questions = Questions(pictures(images), workers)
    try:
        questions.ask(answer)
    except StoreError:  # two rounds whose answers are all lost
        return
    skipped = {item.path: item.reason for item in questions.skipped}
    assert len(questions.done) + len(questions.skipped) == images
    assert questions.done.keys().isdisjoint(skipped)
    assert {path for path, reason in skipped.items() if reason == FATAL} == fatal
    assert skipped.keys() == fatal | broken


def test_a_base_that_ends_each_worker_is_not_laid_to_the_images() -> None:
    """Such as one that does not fit into the memory: a million images would be tried one by one, and all skipped."""
    tried: list[str] = []

    def end_with(fatal: int) -> AskAll:
        def answer(blocks: Sequence[Block], take: TakeAnswer) -> None:
            for block in blocks:
                is_fatal = any(picture in pictures(fatal) for picture in block.pictures)
                tried.extend(picture.path for picture in block.pictures if len(block.pictures) == 1)
                take(Answer(block.number, "fatal") if is_fatal else done(block))

        return answer

    with pytest.raises(StoreError, match=r"ended with each of 32 images and none is done, .* fits into the memory"):
        Questions(pictures(1000), workers=2).ask(end_with(1000))
    assert len(tried) == MOST_FATAL
    some = Questions(pictures(1000), workers=2)
    some.ask(end_with(MOST_FATAL + 8))
    assert (len(some.done), len(some.skipped)) == (1000 - MOST_FATAL - 8, MOST_FATAL + 8)
