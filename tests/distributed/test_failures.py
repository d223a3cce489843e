"""Trainings that are killed, stopped, or out of disk, and what is left of them."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babelrank.components.errors import RESUME, CheckpointError
from babelrank.components.training.loop import fit
from babelrank.components.training.progress import Lines
from tests.distributed import trainings
from tests.distributed.conftest import Jobs, Outcome, read
from tests.distributed.trainings import TASKS

INTERVAL = 7
LONG = {
    "checkpoint_interval": INTERVAL,
    "evaluate_every": 50,
    "early_stopping": {"patience": 0},
    "deterministic": True,
}
STEPS = {"ranking": 150, "translation": 60}  # more than there are in a second


def assert_equal(a: Outcome, b: Outcome) -> None:
    """Both are the same to the last bit."""
    for x, y in zip(a.weights, b.weights, strict=True):
        np.testing.assert_array_equal(x, y)
    assert a.report["history"] == b.report["history"]


def run_until(jobs: Jobs, path: Path, number: int, seconds: float) -> tuple[int, str]:
    """Sends a signal some time after the first step; the exit code and what was said."""
    process = jobs.start(path)
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line.startswith("training: step"):
            break
    time.sleep(seconds)
    process.send_signal(number)
    rest, _ = process.communicate(timeout=120)
    return process.returncode, "".join(lines) + rest


def steps_of(text: str) -> list[int]:
    """The steps that a training has told of."""
    return [int(step) for step in re.findall(r"^training: (?:resumed at )?step (\d+)", text, re.M)]


def settings(jobs: Jobs, task: str, kills: int = 1) -> tuple[Path, Path]:
    """A training with dropout that is long enough to be killed so often."""
    changes = {**LONG, "steps": STEPS[task] * (kills + 2)}
    path, result = jobs.settings(task, changes=changes, dropout=0.2)
    return path, Path(str(result).format(task=0))


def finish(jobs: Jobs, path: Path, result: Path) -> Outcome:
    """Trains to the end."""
    process = jobs.start(path)
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 0, text
    return read(result)


@pytest.mark.parametrize(
    ("task", "kills"),
    [
        ("ranking", 2),
        pytest.param("ranking", 10, marks=pytest.mark.slow),
        pytest.param("translation", 10, marks=pytest.mark.slow),
    ],
)
def test_kill_at_any_moment(task: str, kills: int, jobs: Jobs) -> None:
    """SIGKILL at random moments; each time it goes on, and in the end nothing is different."""
    path, result = settings(jobs, task, kills)
    seed = random.randrange(10**6)
    drawn, last = random.Random(seed), 0
    for i in range(kills):
        code, text = run_until(jobs, path, signal.SIGKILL, drawn.uniform(0.0, 1.0))
        assert code == -signal.SIGKILL, f"ended before kill {i} (seed {seed}):\n{text}"
        steps = steps_of(text)
        assert steps[0] >= last - INTERVAL, f"lost more than an interval (seed {seed}):\n{text}"
        last = max(steps)
    assert_equal(finish(jobs, path, result), finish(jobs, *settings(jobs, task, kills)))


@pytest.mark.parametrize("task", TASKS)
def test_sigterm_saves_and_says_resume_me(task: str, jobs: Jobs) -> None:
    path, result = settings(jobs, task)
    code, text = run_until(jobs, path, signal.SIGTERM, 0.5)
    assert code == RESUME, text
    stopped = int(re.findall(r"training stopped at step (\d+) of \d+, as asked", text)[0])
    resumed = finish(jobs, path, result)
    assert resumed.report["resumed_from"] == stopped
    assert_equal(resumed, finish(jobs, *settings(jobs, task)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def files(folder: Path) -> dict[str, bytes]:
    """All files by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("task", TASKS)
def test_a_full_disk_leaves_the_checkpoint_before(
    task: str, small_disk: Path, tmp_path: Path
) -> None:
    def train(work: Path, **changes: Any) -> Any:
        changes = {"checkpoint_interval": 2, "evaluate_every": 100, **changes}
        made = trainings.make(task, tmp_path / "data", **changes)
        return fit(made.task, made.config, made.train, made.evaluation, work, progress=Lines())

    work = small_disk / "work"
    train(work, steps=4)
    before = files(work / "checkpoints")
    free = shutil.disk_usage(small_disk).free
    filler = small_disk / "filler"
    filler.write_bytes(bytes(free - 8192))
    with pytest.raises(CheckpointError, match=re.escape(f"{work}/checkpoints/step-000000006: ")):
        train(work, steps=8)
    assert files(work / "checkpoints") == before
    filler.unlink()
    resumed = train(work, steps=8)
    assert resumed.resumed_from == 4
    train(tmp_path / "straight", steps=4)  # which evaluates, as above
    straight = train(tmp_path / "straight", steps=8)
    for x, y in zip(resumed.model.get_weights(), straight.model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
