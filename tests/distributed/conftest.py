"""Runs trainings in processes of their own and reads what came of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.distributed import trainings

# isort: split
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a training came to."""

    weights: list[np.ndarray[Any, Any]]
    report: dict[str, Any]

    @property
    def losses(self) -> list[float]:
        """The loss curve."""
        return [record["loss"] for record in self.report["history"]]

    @property
    def evaluations(self) -> list[dict[str, float]]:
        """Metrics of the evaluations, in order."""
        return [record["eval"] for record in self.report["history"] if "eval" in record]


class Jobs:
    """Starts `job.py` with settings."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def settings(self, task: str, **changes: Any) -> tuple[Path, Path]:
        """A file with settings, and where the result will be."""
        trainings.make(task, self._directory / f"{task}-data")  # once, before several processes
        name = uuid.uuid4().hex[:8]
        result = self._directory / f"{name}-{{task}}.npz"
        values = {
            "task": task,
            "data": str(self._directory / f"{task}-data"),
            "work": str(self._directory / f"{name}-work"),
            "result": str(result),
            **changes,
        }
        path = self._directory / f"{name}.json"
        path.write_text(json.dumps(values))
        return path, result

    def start(
        self,
        path: Path,
        prefix: Sequence[str] = (),
        arguments: Sequence[str] = (),
        **environment: str,
    ) -> subprocess.Popen[str]:
        """Starts a process; the caller waits for it or stops it."""
        kept = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.distributed.job", str(path), *arguments],
            cwd=ROOT,
            env={**kept, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, task: str, **changes: Any) -> Outcome:
        """One process, to its end."""
        path, result = self.settings(task, **changes)
        process = self.start(path)
        text, _ = process.communicate(timeout=600)
        assert process.returncode == 0, text
        return read(Path(str(result).format(task=0)))


def read(path: Path) -> Outcome:
    """What a job has written."""
    with np.load(path) as saved:
        names = sorted(name for name in saved.files if name != "report")
        return Outcome([saved[name] for name in names], json.loads(str(saved["report"])))


def assert_close(a: Outcome, b: Outcome, tolerance: float = 1e-5) -> None:
    """Both have the same losses, evaluations and weights, but for rounding."""
    np.testing.assert_allclose(a.losses, b.losses, rtol=tolerance)
    assert len(a.evaluations) == len(b.evaluations) > 1
    for x, y in zip(a.evaluations, b.evaluations, strict=True):
        assert x == pytest.approx(y, rel=10 * tolerance)
    for x, y in zip(a.weights, b.weights, strict=True):
        np.testing.assert_allclose(x, y, atol=100 * tolerance)


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    """Jobs that share their data."""
    return Jobs(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="session")
def baseline(jobs: Jobs) -> Callable[[str], Outcome]:
    """The outcome of a task's training on one device."""
    known: dict[str, Outcome] = {}

    def outcome(task: str) -> Outcome:
        if task not in known:
            known[task] = jobs.run(task)
        return known[task]

    return outcome


@pytest.fixture(scope="session")
def network() -> Iterator[list[str]]:
    """What to put before a command so that it runs in a network with nothing but a loopback."""
    script = "ip link set lo up && echo up && exec sleep 36000"
    try:
        holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE, text=True
        )
    except OSError as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "up\n":
            pytest.skip("no network namespace can be made here: takes root, unshare and ip")
        yield ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
    finally:
        holder.kill()
        holder.wait()


def tail(texts: Sequence[str]) -> str:
    """The ends of what processes said, for a failed test."""
    return "\n\n".join(text[-3000:] for text in texts)
