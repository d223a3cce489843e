"""Which batch comes next, with some left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from babelrank.components.training.checkpoints import Position
from babelrank.components.training.course import Course


class Source:
    """Three batches an epoch, of 10, 11 and 12 rows."""

    store = SimpleNamespace(directory="/data")

    def __len__(self) -> int:
        return 3

    def amount_in(self, index: int, epoch: int) -> int:
        return 10 + index

    def rows_in(self, index: int, epoch: int) -> Any:
        return np.arange(10 + index) + 100 * epoch


class Saved:
    """Checkpoints with one of the beginning."""

    def __init__(self) -> None:
        self.position = Position(seed=1, data={})

    def restore(self) -> None:
        self.position = Position(seed=1, data={})


@pytest.fixture
def course() -> Course:
    return Course(Saved(), Source())  # type: ignore[arg-type]


def test_steps_go_through_the_epochs(course: Course) -> None:
    assert course.advance(4) == 10 + 11 + 12 + 10
    assert (course.position.step, course.position.epoch, course.position.batch) == (4, 1, 1)
    assert (course.cursor, course.epoch) == (4, 4 / 3)


def test_what_is_left_out_takes_no_step(course: Course) -> None:
    course.skip(0)
    assert course.cursor == 1
    course.skip(2)
    course.skip(3)
    assert course.advance(1) == 11
    assert (course.position.step, course.cursor) == (1, 4)
    assert course.before(1) == 1


def test_going_back_remembers_what_is_left_out(course: Course) -> None:
    course.advance(2)
    course.skip(0)
    course.position.rollbacks = 2
    course.restore()
    assert (course.position.step, course.cursor, course.position.rollbacks) == (0, 1, 2)


def test_batches_in_words(course: Course) -> None:
    assert course.name(4) == "epoch 1, batch 1"
    assert course.rows(3) == ("rows 100, 101, 102, 103, 104, 105, 106, 107 and 2 more of /data")
