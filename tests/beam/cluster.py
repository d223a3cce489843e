"""A Beam cluster of processes in a network of its own: a job service and a pool of workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
JOBS, POOL = 8099, 50000
"""Ports of the job service and of the worker pool."""

PORTABLE = {
    "job_endpoint": f"localhost:{JOBS}",
    "environment": "EXTERNAL",
    "environment_config": f"localhost:{POOL}",
}


class Cluster:
    """Starts processes and ends them with their children.

    Args:
        network: What to put before a command; see the fixture `network`.
        folder: For their logs.
    """

    def __init__(self, network: Sequence[str], folder: Path) -> None:
        self._network = network
        self._folder = folder
        self._open = ExitStack()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def serve(self, name: str, command: Sequence[str], port: int, seconds: float = 60) -> None:
        """Starts a server and waits until it listens."""
        process = self._open.enter_context(self._started(name, command))
        begun = time.monotonic()
        while not _listens(process.pid, port):
            if process.poll() is not None or time.monotonic() - begun > seconds:
                raise AssertionError(f"{name} does not listen on {port}:\n{self.log(name)}")
            time.sleep(0.1)

    def serve_workers(self) -> None:
        """Starts Beam's worker pool, as k8s/flink does beside a task manager."""
        module = "apache_beam.runners.worker.worker_pool_main"
        self.serve("pool", [sys.executable, "-m", module, f"--service_port={POOL}"], POOL)

    def serve_jobs(self) -> None:
        """Starts the job service that comes with Beam."""
        module = "apache_beam.runners.portability.local_job_service_main"
        staging = f"--staging_dir={self._folder / 'staging'}"
        self.serve("jobs", [sys.executable, "-m", module, f"--port={JOBS}", staging], JOBS)

    def run(self, runs: Sequence[dict[str, Any]], seconds: float = 1500) -> None:
        """Runs pipelines in the cluster's network; see `job`."""
        path = self._folder / "runs.json"
        path.write_text(json.dumps(runs))
        command = [sys.executable, "-m", "tests.beam.job", str(path)]
        with self._started("runs", command) as process:
            code = process.wait(timeout=seconds)
        assert code == 0, "\n".join(f"{name}:\n{self.log(name)}" for name in ("runs", "pool"))

    def workers_started(self) -> int:
        """Processes that the worker pool has started."""
        return self.log("pool", whole=True).count("Starting worker with command")

    def log(self, name: str, whole: bool = False) -> str:
        """What a process said, or the end of it."""
        path = self._folder / f"{name}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return text if whole else text[-6000:]

    @contextmanager
    def _started(self, name: str, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A process that leads a group of its own, so that what it starts ends with it."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*self._network, *command],
                cwd=ROOT,
                # Beam's worker pool starts `python`, whatever that is. The switch is the image's.
                env={**os.environ, "PATH": path, "TF_USE_LEGACY_KERAS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _listens(pid: int, port: int) -> bool:
    """Whether anything listens on a port in the network of a process."""
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if state == "0A" and local.endswith(f":{port:04X}"):
                return True
    return False
