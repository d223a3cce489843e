"""From TFX's Trainer to the pods and back: what they get, where their model ends up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.config import kube_config

from babelrank.components.errors import BabelRankError, ConfigError, DeviceError, Interrupted
from babelrank.components.training import tf_job, tf_job_cluster, tf_job_follower, tf_job_log
from babelrank.components.training.interruption import StopRequest
from babelrank.components.training.tf_job_executor import Executor, Handover, train
from tests.components.training.tf_operator import Pod, TrainingOperator

RUN_FN = "babelrank.components.ranking.trainer.run_fn"


@pytest.fixture(autouse=True)
def worker_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tf_job_follower, tf_job_log):
        monkeypatch.setattr(module, "_OFTEN", 0.02)
    pod = {"spec": {"containers": [{"image": "babelrank:1"}]}, "restarts": 1}
    monkeypatch.setenv(tf_job.VARIABLE, json.dumps(pod))
    for name in (tf_job_cluster.POD, tf_job_cluster.UID):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def operate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[Pod], int]], TrainingOperator]]:
    started = []

    def start(run: Callable[[Pod], int]) -> TrainingOperator:
        operator = TrainingOperator(run).__enter__()
        started.append(operator)
        operator.write_kubeconfig(tmp_path / "kubeconfig")
        monkeypatch.setattr(
            kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig")
        )
        return operator

    yield start
    for operator in started:
        operator.__exit__()


def arguments(folder: Path, number: int = 1) -> SimpleNamespace:
    """What TFX gives, for its execution of this number."""
    out = folder / "artifacts"
    (out / "model_run" / str(number)).mkdir(parents=True)
    training = {"workers": 2, "parameter_servers": 0, "steps": 3}
    return SimpleNamespace(
        custom_config={"training": training, "work_directory": str(folder / "training")},
        train_files=["train/*"],
        eval_files=["eval/*"],
        transform_output="transform",
        base_model=None,
        data_accessor=object(),
        serving_model_dir=str(out / "model" / str(number) / "Format-Serving"),
        model_run_dir=str(out / "model_run" / str(number)),
    )


def exports(pod: Pod) -> int:
    """What a worker does; the chief writes the model."""
    job = json.loads(Path(pod.command[-1]).read_text())
    given = job["fn_args"]
    if pod.index == 0:
        assert job["run_fn"] == RUN_FN
        for folder in (given["serving_model_dir"], given["model_run_dir"]):
            Path(folder).mkdir(parents=True)
        (Path(given["serving_model_dir"]) / "saved_model.pb").write_text("model")
        text = json.dumps([given["train_files"], given["custom_config"]["training"]["steps"]])
        (Path(given["model_run_dir"]) / "training.json").write_text(text)
    return 0


def test_the_model_ends_up_where_tfx_expects_it(operate: Any, tmp_path: Path) -> None:
    operator = operate(exports)
    given = arguments(tmp_path)
    train(given, RUN_FN, "clicks")
    assert (Path(given.serving_model_dir) / "saved_model.pb").read_text() == "model"
    written = (Path(given.model_run_dir) / "training.json").read_text()
    assert json.loads(written) == [["train/*"], 3]
    assert list((tmp_path / "training").iterdir()) == []
    assert len(operator.created) == 1
    assert operator.created[0].startswith("clicks-")


def test_a_killed_try_leaves_what_the_next_one_takes(operate: Any, tmp_path: Path) -> None:
    """The first is killed without a chance to tidy up, while the pods train."""
    go_on = threading.Event()

    def run(pod: Pod) -> int:
        go_on.wait(20)
        return exports(pod)

    operator = operate(run)
    follow = tf_job_follower.Follower
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "follow", lambda *_: (_ for _ in ()).throw(MemoryError("killed")))
        patch.setattr(follow, "delete", lambda _: None)
        with pytest.raises(MemoryError):
            train(arguments(tmp_path, 1), RUN_FN, "clicks")
    go_on.set()
    second = arguments(tmp_path, 2)
    train(second, RUN_FN, "clicks")
    assert len(operator.created) == 1
    assert (Path(second.serving_model_dir) / "saved_model.pb").exists()
    assert not (tmp_path / "artifacts" / "model" / "1").exists()


def test_sigterm_leaves_the_job_to_the_next_try(
    operate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pods are ended, and the next try makes others."""

    def run(pod: Pod) -> int:
        if pod.number == 0:
            pod.terminated.wait(20)
            return 143
        return exports(pod)

    operator = operate(run)
    with pytest.MonkeyPatch.context() as patch:

        class Stopped(StopRequest):
            def __enter__(self) -> StopRequest:
                threading.Timer(0.5, lambda: setattr(self, "asked", "SIGTERM")).start()
                return self

            def __exit__(self, *_: object) -> None:
                pass

        patch.setattr("babelrank.components.training.tf_job_executor.StopRequest", Stopped)
        with pytest.raises(Interrupted, match="SIGTERM"):
            train(arguments(tmp_path, 1), RUN_FN, "clicks")
    second = arguments(tmp_path, 2)
    train(second, RUN_FN, "clicks")
    assert len(operator.created) == 2
    assert (Path(second.serving_model_dir) / "saved_model.pb").exists()


def test_success_without_a_model_is_a_failure(operate: Any, tmp_path: Path) -> None:
    operator = operate(lambda pod: 0)
    with pytest.raises(BabelRankError, match="there is no model here. Do its pods mount the same"):
        train(arguments(tmp_path), RUN_FN, "clicks")
    deadline = time.monotonic() + 20
    while operator.jobs:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(DeviceError, match="no Kubernetes cluster can be reached from here"):
        train(arguments(tmp_path), RUN_FN, "clicks")


def test_what_an_earlier_try_left_is_cleared(tmp_path: Path) -> None:
    handover = Handover(tmp_path / "h", arguments(tmp_path))
    handover.write(RUN_FN)
    (tmp_path / "h" / "model").mkdir()
    assert handover.complete()
    handover.clear()
    assert not handover.complete()
    assert handover.job.exists()


def test_the_executor_takes_no_module_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Executor, "_GetFnArgs", lambda *_: None)
    with pytest.raises(ConfigError, match="takes a Trainer with run_fn, and no module_file"):
        Executor().Do({}, {}, {"module_file": "trainer.py"})
