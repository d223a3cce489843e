"""A pipeline whose Trainer makes a TFJob: the operator is a double, its pods are processes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.components.training.tf_operator import Pod, TrainingOperator
from tests.distributed.conftest import ROOT
from tests.e2e.test_warm_start import clicks

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PORTS = itertools.count(23000)
Watch = Callable[[Pod, subprocess.Popen[str], str], None]


def nothing(pod: Pod, process: subprocess.Popen[str], line: str) -> None:
    """Looks at a line of a pod, and lets it be."""


def container(network: Sequence[str], watch: Watch = nothing) -> Callable[[Pod], int]:
    """What runs a pod's command as a process."""

    def run(pod: Pod) -> int:
        assert pod.command[0] == "python"
        process = subprocess.Popen(
            [*network, sys.executable, *pod.command[1:]],
            cwd=ROOT,
            env={**os.environ, **pod.environment, "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

        def stop() -> None:
            pod.terminated.wait()
            process.terminate()

        threading.Thread(target=stop, daemon=True).start()
        assert process.stdout is not None
        for line in process.stdout:
            pod.write(line.rstrip("\n"))
            watch(pod, process, line)
        code = process.wait()
        return code if code >= 0 else 128 - code

    return run


def address(_: str) -> str:
    """Where a pod listens; all addresses are in the network of the test."""
    return f"127.0.0.1:{next(PORTS)}"


def run_pipeline(operator: TrainingOperator, folder: Path, workers: int, *changes: str) -> Any:
    """`babelrank run`; its run.json and the Trainer's training.json."""
    operator.write_kubeconfig(folder / "kubeconfig")
    config = ROOT / "tests" / "e2e" / "warm_start.yaml"
    data, out = clicks(folder / "clicks.csv", range(30)), folder / "out"
    command = ["run", "ranking", "--config", config, "--data", data, "--out", out]
    settings = ("training.warm_start=null", f"training.workers={workers}", *changes)
    pod = {"spec": {"containers": [{"image": "babelrank:1"}]}, "restarts": 2}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "babelrank.pipelines.cli", *command),
            *itertools.chain.from_iterable(("--set", change) for change in settings),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "KUBECONFIG": str(folder / "kubeconfig"),
            "BABELRANK_WORKER_POD": json.dumps(pod),
            "CUDA_VISIBLE_DEVICES": "",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
    assert list((out / "training").iterdir()) == []
    runs = (out / "artifacts" / "Trainer" / "model_run").glob("*/training.json")
    newest = max(runs, key=lambda path: int(path.parent.name))
    return json.loads((out / "run.json").read_text()), json.loads(newest.read_text())


def test_two_workers_push_the_model_of_one(network: list[str], tmp_path: Path) -> None:
    with TrainingOperator(container(network), address) as operator:
        several, training = run_pipeline(operator, tmp_path, 2)
        assert len(operator.created) == 1
        assert [pod.exit_code for pod in operator.made] == [0, 0], operator.made[0].lines
        assert training["strategy"] == "multi_worker_mirrored (auto: TF_CONFIG names 2 workers)"
        assert several["status"] == "pushed"
        one, training = run_pipeline(operator, tmp_path, 1)
        assert len(operator.created) == 1
        assert training["strategy"].startswith("one_device")
    assert several["metrics"]["auc"] == pytest.approx(one["metrics"]["auc"], abs=2e-3)
    assert several["metrics"]["log_loss"] == pytest.approx(one["metrics"]["log_loss"], abs=1e-4)


def test_a_killed_worker_starts_all_again_from_a_checkpoint(
    network: list[str], tmp_path: Path
) -> None:
    processes: dict[int, int] = {}
    killed = []

    def watch(pod: Pod, process: subprocess.Popen[str], line: str) -> None:
        """Kills the other worker when the chief has evaluated once."""
        processes[pod.index] = process.pid
        if not killed and pod.index == 0 and line.startswith("eval"):
            killed.append(line)
            os.kill(processes[1], signal.SIGKILL)

    with TrainingOperator(container(network, watch), address) as operator:
        run, training = run_pipeline(
            operator,
            tmp_path,
            2,
            "training.checkpoint_interval=5",
            "training.epochs=4",
            "training.early_stopping.patience=0",
            "training.strategy.worker_timeout=120",
        )
        codes = {(pod.index, pod.number): pod.exit_code for pod in operator.made}
    assert killed
    # A worker that is back before the others have noticed costs another round.
    assert (codes[0, 0], codes[1, 0]) == (143, 137)
    assert [codes[max(key for key in codes if key[0] == index)] for index in (0, 1)] == [0, 0]
    assert run["status"] == "pushed"
    lines = [text for pod in operator.made if pod.number and not pod.index for _, text in pod.lines]
    assert any(line.startswith("training: resumed at step ") for line in lines), lines
    assert training["strategy"] == "multi_worker_mirrored (auto: TF_CONFIG names 2 workers)"
