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
