"""Several devices of one machine come to what one device comes to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.distributed.conftest import Jobs, Outcome, assert_close
from tests.distributed.trainings import TASKS

MIRRORED = {"name": "mirrored", "device": "cpu", "devices": 2}


@pytest.mark.parametrize("task", TASKS)
def test_two_devices_are_as_one(task: str, jobs: Jobs, baseline: Callable[[str], Outcome]) -> None:
    assert_close(jobs.run(task, strategy=MIRRORED), baseline(task))


@pytest.mark.parametrize("task", TASKS)
def test_parts_and_averages_are_the_same_on_two_devices(task: str, jobs: Jobs) -> None:
    changes = {"accumulation": 2, "ema_decay": 0.9, "steps": 14, "evaluate_every": 7}
    two = jobs.run(task, strategy=MIRRORED, changes=changes)
    assert_close(two, jobs.run(task, changes=changes))
