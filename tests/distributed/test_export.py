"""Two workers run a task's `run_fn` on what a pipeline's Transform left: one of them exports."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.config import load_yaml, to_dict
from babelrank.components.training.worker import write_job
from babelrank.pipelines.config import RankingConfig, TranslationConfig
from tests.distributed.conftest import ROOT, tail
from tests.e2e.test_warm_start import clicks, numbers

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PORTS = itertools.count(21000)
CONFIGS = {
    "ranking": (RankingConfig, "warm_start.yaml"),
    "translation": (TranslationConfig, "warm_start_translation.yaml"),
}
ASKED = {
    "ranking": "".join(f'{{"user": "u{i}", "item": "i{i % 20}"}}\n' for i in range(25)),
    "translation": "one two three\nfour five six\n",
}


def babelrank(*arguments: str, text: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "babelrank.pipelines.cli", *arguments],
        input=text,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def settings(task: str, config: Any) -> dict[str, Any]:
    """What the graph gives Trainer."""
    if task == "translation":
        return {name: to_dict(getattr(config, name)) for name in ("data", "model", "decoding")}
    from babelrank.components.ranking.preprocessing import Columns

    columns = Columns(config.data, config.transform).to_custom_config()
    return {**columns, "model": to_dict(config.model)}


def job(task: str, config: Any, out: Path, folder: Path) -> Path:
    """The job of the pipeline's Trainer, for two workers."""
    (graph,) = (out / "artifacts" / "Transform" / "transform_graph").iterdir()
    (examples,) = (out / "artifacts" / "Transform" / "transformed_examples").iterdir()
    training = {**to_dict(config.training), "strategy": {"name": "multi_worker_mirrored"}}
    arguments = {
        "custom_config": {
            **settings(task, config),
            "training": {**training, "warm_start": None},
            "work_directory": str(folder / "work"),
        },
        "train_files": [f"{examples}/Split-train/*"],
        "eval_files": [f"{examples}/Split-eval/*"],
        "transform_output": str(graph),
        "model_run_dir": str(folder / "model_run"),
        "serving_model_dir": str(folder / "model" / "1"),
        "base_model": None,
    }
    write_job(folder / "job.json", f"babelrank.components.{task}.trainer.run_fn", arguments)
    return folder / "job.json"


def run_workers(path: Path, network: Sequence[str]) -> None:
    addresses = [f"127.0.0.1:{next(PORTS)}" for _ in range(2)]
    processes = []
    for i in range(2):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
        processes.append(
            subprocess.Popen(
                [*network, sys.executable, "-m", "babelrank.components.training.worker", str(path)],
                cwd=ROOT,
                env={**os.environ, "TF_CONFIG": json.dumps(cluster), "CUDA_VISIBLE_DEVICES": ""},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        texts = [process.communicate(timeout=600)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], tail(texts)


@pytest.mark.parametrize("task", CONFIGS)
def test_two_workers_export_the_model_of_one(task: str, network: list[str], tmp_path: Path) -> None:
    kind, name = CONFIGS[task]
    data = tmp_path / "data"
    data.mkdir()
    source = (
        clicks(data / "a.csv", range(30)) if task == "ranking" else numbers(data / "a.tsv", 100)
    )
    yaml, out = ROOT / "tests" / "e2e" / name, tmp_path / "out"
    changes = ["--set", "training.warm_start=null", "--set", "training.precision=float32"]
    babelrank(
        "run", task, "--config", str(yaml), "--data", str(source), "--out", str(out), *changes
    )
    config = load_yaml(kind, out / "runs" / os.listdir(out / "runs")[0] / "config.yaml")
    run_workers(job(task, config, out, tmp_path), network)

    trained = json.loads((tmp_path / "model_run" / "training.json").read_text())
    assert trained["strategy"] == "multi_worker_mirrored, as configured"
    assert not any((tmp_path / "work").iterdir())
    ours = babelrank("predict", str(tmp_path / "model"), text=ASKED[task])
    theirs = babelrank("predict", str(out / "serving"), text=ASKED[task])
    if task == "translation":
        assert len(ours.splitlines()) == 2  # dropout differs from device to device
        return
    scores = [[json.loads(line)["score"] for line in text.splitlines()] for text in (ours, theirs)]
    assert scores[0] == pytest.approx(scores[1], abs=2e-3)
