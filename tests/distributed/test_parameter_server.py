"""Trainings of one chief, two workers and one parameter server, each a process of its own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from pathlib import Path

import pytest

from babelrank.components.errors import RESUME
from tests.distributed.conftest import Jobs, read, tail
from tests.distributed.test_workers import Network, Process, finish, wait_for_checkpoint
from tests.distributed.trainings import TASKS

pytestmark = pytest.mark.slow
TIMEOUT = 60
ASYNCHRONOUS = {"name": "parameter_server", "worker_timeout": TIMEOUT}
LONG = {
    "checkpoint_interval": 10,
    "evaluate_every": 50,
    "steps": 200,
    "early_stopping": {"patience": 0},
}
ROLES = (("chief", 0), ("worker", 0), ("worker", 1), ("ps", 0))
PORTS = itertools.count(22000)


def start(jobs: Jobs, network: Network, path: Path) -> dict[tuple[str, int], Process]:
    """The processes of one training by role, the chief first."""
    cluster: dict[str, list[str]] = {}
    for kind, _ in ROLES:
        cluster.setdefault(kind, []).append(f"127.0.0.1:{next(PORTS)}")
    started = {}
    for kind, index in ROLES:
        config = {"cluster": cluster, "task": {"type": kind, "index": index}}
        started[kind, index] = jobs.start(
            path, network, ["--supervised"], TF_CONFIG=json.dumps(config)
        )
    return started


def kill(process: Process) -> None:
    """SIGKILL to the process that a supervisor watches."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)


def codes(processes: dict[tuple[str, int], Process]) -> list[int | None]:
    """Exit codes in the order of the roles."""
    return [process.returncode for process in processes.values()]


@pytest.mark.parametrize("task", TASKS)
def test_it_learns_and_ends_the_others(task: str, jobs: Jobs, network: Network) -> None:
    changes = {"steps": 150, "evaluate_every": 50}
    path, result = jobs.settings(task, strategy=ASYNCHRONOUS, changes=changes)
    processes = start(jobs, network, path)
    texts = finish(list(processes.values()))
    assert codes(processes) == [0, 0, 0, 0], tail(texts)
    found = read(Path(str(result).format(task=0)))
    assert found.losses[-1] < 0.9 * found.losses[0], found.losses
    metric = {"ranking": "auc", "translation": "bleu"}[task]
    assert len(found.evaluations) > 1
    assert all(metric in evaluation for evaluation in found.evaluations)


@pytest.mark.parametrize("task", TASKS)
def test_it_goes_on_without_a_lost_worker(task: str, jobs: Jobs, network: Network) -> None:
    path, result = jobs.settings(task, strategy=ASYNCHRONOUS, changes=LONG)
    processes = start(jobs, network, path)
    wait_for_checkpoint(path, 20)
    kill(processes["worker", 1])
    texts = finish(list(processes.values()))
    assert codes(processes) == [0, 0, 128 + signal.SIGKILL, 0], tail(texts)
    found = read(Path(str(result).format(task=0)))
    assert found.report["steps"] == 200
    assert len(found.evaluations) == 4
    assert found.losses[-1] < found.losses[0]


def test_a_lost_parameter_server_ends_all_and_they_resume(jobs: Jobs, network: Network) -> None:
    path, result = jobs.settings("ranking", strategy=ASYNCHRONOUS, changes=LONG)
    processes = start(jobs, network, path)
    wait_for_checkpoint(path, 20)
    kill(processes["ps", 0])
    began = time.monotonic()
    texts = finish(list(processes.values()))
    assert time.monotonic() - began < TIMEOUT + 30
    assert codes(processes) == [RESUME, RESUME, RESUME, 128 + signal.SIGKILL], tail(texts)
    assert "all of them go on from the last checkpoint" in texts[0]
    assert "the chief at 127.0.0.1:" in texts[1]
    again = start(jobs, network, path)
    texts = finish(list(again.values()))
    assert codes(again) == [0, 0, 0, 0], tail(texts)
    found = read(Path(str(result).format(task=0)))
    assert found.report["resumed_from"] >= 20
    assert found.report["steps"] == 200


def test_a_signal_to_the_chief_stops_all_of_them(jobs: Jobs, network: Network) -> None:
    path, _ = jobs.settings("ranking", strategy=ASYNCHRONOUS, changes=LONG)
    processes = start(jobs, network, path)
    wait_for_checkpoint(path, 10)
    processes["chief", 0].send_signal(signal.SIGTERM)
    texts = finish(list(processes.values()))
    assert codes(processes) == [RESUME] * 4, tail(texts)
    assert "training stopped at step" in texts[0]
