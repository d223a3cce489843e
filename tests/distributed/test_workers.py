"""Several processes on one machine, which talk over the loopback of their own network."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from babelrank.components.errors import RESUME
from tests.distributed.conftest import Jobs, Outcome, assert_close, read, tail
from tests.distributed.trainings import TASKS

TIMEOUT = 30
SEVERAL = {"name": "multi_worker_mirrored", "worker_timeout": TIMEOUT}
LONG = {
    "checkpoint_interval": 10,
    "evaluate_every": 100,
    "steps": 200,
    "early_stopping": {"patience": 0},
}
PORTS = itertools.count(20000)  # all free in a network of our own

Network = Sequence[str]
Process = subprocess.Popen[str]


def start(jobs: Jobs, network: Network, path: Path, count: int = 2) -> list[Process]:
    """The workers of one training."""
    addresses = [f"127.0.0.1:{next(PORTS)}" for _ in range(count)]
    started = []
    for i in range(count):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
        environment = {"TF_CONFIG": json.dumps(cluster), "WORKER": str(i)}
        started.append(jobs.start(path, network, ["--supervised"], **environment))
    return started


def finish(processes: list[Process], timeout: float = 300) -> list[str]:
    """What they said; kills those that do not end."""
    deadline = time.monotonic() + timeout
    try:
        return [p.communicate(timeout=max(1, deadline - time.monotonic()))[0] for p in processes]
    finally:
        for process in processes:
            process.kill()


def run(jobs: Jobs, network: Network, path: Path, result: Path) -> list[Outcome]:
    """Two workers to their end."""
    processes = start(jobs, network, path)
    texts = finish(processes)
    assert [process.returncode for process in processes] == [0, 0], tail(texts)
    return [read(Path(str(result).format(task=i))) for i in (0, 1)]


def wait_for_checkpoint(path: Path, step: int) -> None:
    """Waits until the training of a settings file has a checkpoint of a step or a later one."""
    folder = Path(json.loads(path.read_text())["work"]) / "checkpoints"
    deadline = time.monotonic() + 120
    while not any(int(found.name[5:]) >= step for found in folder.glob("step-*")):
        assert time.monotonic() < deadline, "no checkpoint in 120 s"
        time.sleep(0.05)


@pytest.mark.parametrize("task", TASKS)
def test_two_workers_are_as_one(
    task: str, jobs: Jobs, network: Network, baseline: Callable[[str], Outcome]
) -> None:
    first, second = run(jobs, network, *jobs.settings(task, strategy=SEVERAL))
    assert_close(first, baseline(task))
    assert first.evaluations == second.evaluations


@pytest.mark.slow
def test_two_workers_leave_the_same_batch_out(jobs: Jobs, network: Network) -> None:
    changes = {"epochs": 1, "checkpoint_interval": 3, "steps": 10}
    path, result = jobs.settings("ranking", strategy=SEVERAL, changes=changes, ruined=4)
    first, second = run(jobs, network, path, result)
    alone = jobs.run("ranking", changes=changes, ruined=4)
    assert first.report["skipped"] == second.report["skipped"] == ["epoch 0, batch 4"]
    assert first.report["steps"] == 10
    assert_close(first, alone)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_lost_worker_ends_the_others_and_all_go_on(
    task: str, jobs: Jobs, network: Network
) -> None:
    path, result = jobs.settings(task, strategy=SEVERAL, changes=LONG)
    processes = start(jobs, network, path)
    wait_for_checkpoint(path, 10)
    (child,) = (
        Path(f"/proc/{processes[1].pid}/task/{processes[1].pid}/children").read_text().split()
    )
    os.kill(int(child), signal.SIGKILL)
    began = time.monotonic()
    texts = finish(processes)
    assert time.monotonic() - began < TIMEOUT + 20
    codes = [process.returncode for process in processes]
    assert codes == [RESUME, 128 + signal.SIGKILL], tail(texts)
    assert "all of them go on from the last checkpoint" in texts[0]
    resumed = run(jobs, network, path, result)
    assert resumed[0].report["resumed_from"] >= 10
    straight = run(jobs, network, *jobs.settings(task, strategy=SEVERAL, changes=LONG))
    assert_close(resumed[0], straight[0])


@pytest.mark.slow
def test_a_signal_to_one_worker_stops_all_of_them(jobs: Jobs, network: Network) -> None:
    path, result = jobs.settings("ranking", strategy=SEVERAL, changes=LONG)
    processes = start(jobs, network, path)
    wait_for_checkpoint(path, 10)
    processes[1].send_signal(signal.SIGTERM)
    texts = finish(processes)
    assert [process.returncode for process in processes] == [RESUME, RESUME], tail(texts)
    assert all("training stopped at step" in text for text in texts)
    resumed = run(jobs, network, path, result)
    assert resumed[0].report["resumed_from"] % 10 == 0


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_waits_in_vain_gives_up(index: int, jobs: Jobs, network: Network) -> None:
    """TensorFlow itself would wait for an hour for workers that never come."""
    cluster = {"worker": [f"127.0.0.1:{next(PORTS)}" for _ in range(2)]}
    environment = {
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
    }
    path, _ = jobs.settings("ranking", strategy={**SEVERAL, "worker_timeout": 5})
    process = jobs.start(path, network, ["--supervised"], **environment)
    (text,) = finish([process], 90)
    assert process.returncode == RESUME, text
    assert 'babelrank: waiting for the workers of {"cluster"' in text
    assert "no sign of life for 5 s, so another worker is lost or stuck" in text
