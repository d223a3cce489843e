"""What the training engine costs and gains: checkpoints, and two processes against one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import tensorflow as tf

from babelrank.components.training.checkpoints import Checkpoints, Position
from babelrank.components.training.config import TrainingConfig
from babelrank.components.training.steps import Steps
from tests.benchmarks import engine_worker

TASKS = ("ranking", "translation")
INTERVAL = TrainingConfig().checkpoint_interval


def run(rounds: int = 3) -> dict[str, Any]:
    """Measures both tasks.

    Args:
        rounds: Turns of the scaling, and checkpoints written.

    Returns:
        For each task: `step_ms`; `checkpoint_ms`, the median of one, with its bytes;
        `checkpoint_percent` of the step time at the default interval; `speed_1_core`,
        `speed_2_cores` (one process), `speed_2_processes` (one core each), the best of the turns;
        and the ratios of the last to the first two.
    """
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for task in TASKS:
            data = Path(name) / task
            engine_worker.make_data(task, data)
            found = {**_checkpoints(task, data, rounds), **_scaling(task, data, rounds)}
            figures |= {f"{task}_{key}": value for key, value in found.items()}
    return figures


def _checkpoints(name: str, data: Path, rounds: int) -> dict[str, float]:
    task, config, train = engine_worker.parts(name, data)
    steps = Steps(task, config, tf.distribute.get_strategy(), INTERVAL, train.varied)
    batches = iter(steps.batches("train", train, epochs=None))
    for _ in range(5):
        steps.train(batches, 1)
    began = time.perf_counter()
    for _ in range(20):
        steps.train(batches, 1)
    step = (time.perf_counter() - began) / 20
    work = data / "work"
    position = Position(seed=1, data=train.identity)
    checkpoints = Checkpoints(work, steps.model, steps.optimizer, steps.step, position)
    seconds = []
    for _ in range(rounds):
        steps.step.assign_add(1)
        began = time.perf_counter()
        checkpoints.save()
        seconds.append(time.perf_counter() - began)
    saved = sorted(seconds)[len(seconds) // 2]
    files = (work / "checkpoints").rglob("*.data*")
    return {
        "step_ms": 1000 * step,
        "checkpoint_ms": 1000 * saved,
        "checkpoint_mb": max(path.stat().st_size for path in files) / 1e6,
        "checkpoint_percent": 100 * saved / (INTERVAL * step),
    }


def _scaling(task: str, data: Path, rounds: int) -> dict[str, float]:
    turns: dict[str, list[float]] = {"1_core": [], "2_cores": [], "2_processes": []}
    for i in range(rounds):
        turns["1_core"].append(_speed(task, data, f"one{i}", ["0"]))
        turns["2_cores"].append(_speed(task, data, f"two{i}", ["0,1"]))
        turns["2_processes"].append(_speed(task, data, f"both{i}", ["0", "1"]))
    best = {name: max(speeds) for name, speeds in turns.items()}
    return {
        **{f"speed_{name}": value for name, value in best.items()},
        "processes_to_1_core": best["2_processes"] / best["1_core"],
        "processes_to_2_cores": best["2_processes"] / best["2_cores"],
    }


def _speed(task: str, data: Path, work: str, cores: list[str]) -> float:
    """Speed of a training with a process on each of these sets of cores."""
    addresses = [f"127.0.0.1:{23450 + i}" for i in range(len(cores))]
    started = []
    for i, cpus in enumerate(cores):
        environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
        if len(cores) > 1:
            cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
            environment["TF_CONFIG"] = json.dumps(cluster)
        command = ["taskset", "-c", cpus, sys.executable, "-m", "tests.benchmarks.engine_worker"]
        arguments = [task, str(data), str(data / work)]
        started.append(
            subprocess.Popen(
                [*command, *arguments],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=900)[0] for process in started]
    return float(json.loads(outputs[0].splitlines()[-1])["speed"])
