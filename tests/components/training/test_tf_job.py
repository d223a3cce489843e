"""The TFJob that is asked for: strictly valid, restricted, found again by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError, DeviceError
from babelrank.components.training import tf_job
from babelrank.components.training.config import TrainingConfig
from tests.components.training.tf_operator import violations

SPEC = {"containers": [{"image": "babelrank:1", "env": [{"name": "A", "value": "b"}]}]}


def made(folder: Path, spec: Any = SPEC, servers: int = 0, job: str = "{}", **pod: Any) -> Any:
    (folder / "job.json").write_text(job)
    return tf_job.manifest(
        "clicks-1",
        "Clicks_1",
        tf_job.replicas(2, servers),
        tf_job.WorkerPod(spec=spec, **pod),
        folder / "job.json",
        "/out/training",
    )


def test_workers_only(tmp_path: Path) -> None:
    job = made(tmp_path)
    assert list(violations(job)) == []
    assert {k: v["replicas"] for k, v in job["spec"]["tfReplicaSpecs"].items()} == {"Worker": 2}
    assert job["spec"]["runPolicy"] == {
        "cleanPodPolicy": "Running",
        "ttlSecondsAfterFinished": 3600,
    }
    replica = job["spec"]["tfReplicaSpecs"]["Worker"]
    (container,) = replica["template"]["spec"]["containers"]
    assert replica["restartPolicy"] == "ExitCode"
    assert container["command"] == [
        "python",
        "-m",
        "babelrank.components.training.worker",
        str(tmp_path / "job.json"),
    ]
    assert {"name": "A", "value": "b"} in container["env"]


def test_parameter_servers_bring_a_chief(tmp_path: Path) -> None:
    job = made(tmp_path, servers=3, timeout=60)
    assert list(violations(job)) == []
    counts = {k: v["replicas"] for k, v in job["spec"]["tfReplicaSpecs"].items()}
    assert counts == {"Chief": 1, "Worker": 2, "PS": 3}
    assert job["spec"]["runPolicy"]["activeDeadlineSeconds"] == 60


def test_its_pods_satisfy_the_restricted_standard_and_have_no_proxy(tmp_path: Path) -> None:
    template = made(tmp_path, labels={"team": "x"})["spec"]["tfReplicaSpecs"]["Worker"]["template"]
    (container,) = template["spec"]["containers"]
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True
    assert template["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert template["spec"]["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert template["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}
    assert template["metadata"]["labels"]["team"] == "x"


def test_what_the_environment_says_of_pods_goes_before(tmp_path: Path) -> None:
    spec = {**SPEC, "securityContext": {"runAsUser": 7}, "terminationGracePeriodSeconds": 5}
    template = made(tmp_path, spec)["spec"]["tfReplicaSpecs"]["Worker"]["template"]
    assert template["spec"]["securityContext"] == {"runAsUser": 7}
    assert template["spec"]["terminationGracePeriodSeconds"] == 5


def test_an_unknown_field_is_a_violation(tmp_path: Path) -> None:
    """The double would notice; the models of most clients take anything."""
    assert list(violations(made(tmp_path, {**SPEC, "nodeSelektor": {}})))
    job = made(tmp_path)
    job["spec"]["runPolicy"]["cleanupPolicy"] = "All"
    assert list(violations(job)) == ["spec.runPolicy.cleanupPolicy: unknown"]


def test_the_fingerprint_tells_jobs_apart(tmp_path: Path) -> None:
    def fingerprint(**changes: Any) -> str:
        return str(made(tmp_path, **changes)["metadata"]["annotations"][tf_job.FINGERPRINT])

    assert fingerprint() == fingerprint()
    others = [fingerprint(servers=1), fingerprint(job='{"run_fn": "f"}'), fingerprint(timeout=9)]
    assert len({fingerprint(), *others}) == 4


@pytest.mark.parametrize(
    ("pipeline", "name"),
    [
        ("Clicks_of Today", "clicks-of-today-0123456789abcdef"),
        ("7-days", "babelrank-7-days-0123456789abcdef"),
        ("a" * 60, "a" * 28 + "-0123456789abcdef"),
    ],
)
def test_names(pipeline: str, name: str) -> None:
    assert tf_job.name(pipeline, "0123456789abcdef") == name
    assert len(name) <= 45


def test_the_pod_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tf_job.VARIABLE, json.dumps({"spec": SPEC, "restarts": 5}))
    pod = tf_job.worker_pod(2)
    assert (pod.spec, pod.restarts, pod.timeout) == (SPEC, 5, None)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"spec": {"containers": [{"name": "a"}]}}'])
def test_the_environment_holds_something_else(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tf_job.VARIABLE, text)
    with pytest.raises(ConfigError, match="BABELRANK_WORKER_POD: got .* takes JSON with `spec`"):
        tf_job.worker_pod(2)


def test_without_a_cluster_workers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tf_job.VARIABLE, raising=False)
    tf_job.check(TrainingConfig())
    with pytest.raises(DeviceError, match=r"training\.workers: got 2; .* Here, take workers: 1\."):
        tf_job.check(TrainingConfig(workers=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workers": 0}, r"^training\.workers: got 0; takes 1 or more"),
        ({"parameter_servers": 1}, r"^training\.parameter_servers: got 1; takes 0, or more with"),
        (
            {"workers": 2, "strategy": "mirrored"},
            r"^training\.strategy\.name: got mirrored; .* takes auto or multi_worker_mirrored",
        ),
        (
            {"workers": 2, "parameter_servers": 1, "strategy": "multi_worker_mirrored"},
            r"^training\.strategy\.name: .* takes auto or parameter_server",
        ),
    ],
)
def test_strategies_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(TrainingConfig, change, "training")
