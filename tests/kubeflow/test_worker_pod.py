"""The pods that train together, as the step `Worker` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.training import tf_job
from babelrank.pipelines.kubeflow.config import KubernetesConfig
from babelrank.pipelines.kubeflow.worker_pod import environment, worker_pod
from tests.components.training.tf_operator import violations

FULL = {
    "image": "registry/babelrank:1",
    "image_pull_secrets": ["key"],
    "service_account": "runner",
    "defaults": {"env": {"A": "1"}, "retries": 1},
    "steps": {
        "Worker": {
            "cpu": "4",
            "memory": "8Gi",
            "accelerator": "nvidia.com/gpu",
            "accelerators": 2,
            "image": "registry/babelrank:1-gpu",
            "node_selector": {"gpu": "a100"},
            "tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
            "annotations": {"gke-gcsfuse/volumes": "true"},
            "env": {"B": "2"},
            "secret_env": {"TOKEN": "store/token"},
            "volumes": {"cache": "/cache"},
            "secret_volumes": {"ca": "/etc/ca"},
            "timeout": 3600,
            "retries": 20,
        }
    },
}


def made(changes: dict[str, Any]) -> dict[str, Any]:
    return worker_pod(from_dict(KubernetesConfig, changes, "kubernetes"))


def test_everything_that_a_step_can_have() -> None:
    pod = made(FULL)
    (container,) = pod["spec"]["containers"]
    assert (pod["restarts"], pod["timeout"]) == (20, 3600)
    assert pod["annotations"] == {"gke-gcsfuse/volumes": "true"}
    assert pod["spec"]["serviceAccountName"] == "runner"
    assert container["image"] == "registry/babelrank:1-gpu"
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "8Gi"},
        "limits": {"memory": "8Gi", "nvidia.com/gpu": "2"},
    }
    secret = {"secretKeyRef": {"name": "store", "key": "token"}}
    assert container["env"] == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "2"},
        {"name": "TOKEN", "valueFrom": secret},
    ]
    places = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    sources = {places[one.pop("name")]: one for one in pod["spec"]["volumes"]}
    assert sources == {
        "/mnt/babelrank": {"persistentVolumeClaim": {"claimName": "babelrank-artifacts"}},
        "/cache": {"persistentVolumeClaim": {"claimName": "cache"}},
        "/etc/ca": {"secret": {"secretName": "ca"}},
    }
    assert pod["spec"]["nodeSelector"] == {"gpu": "a100"}
    assert pod["spec"]["imagePullSecrets"] == [{"name": "key"}]
    (toleration,) = pod["spec"]["tolerations"]
    assert toleration == {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


@pytest.mark.parametrize("changes", [{}, FULL])
def test_it_makes_a_valid_tf_job(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = environment(from_dict(KubernetesConfig, changes, "kubernetes"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "job.json").write_text("{}")
    job = tf_job.manifest(
        "clicks", "clicks", {"Worker": 2}, tf_job.worker_pod(2), tmp_path / "job.json", "/out"
    )
    assert list(violations(job)) == []
    assert json.loads(variables[tf_job.VARIABLE]) == made(changes)


def test_workers_need_a_volume() -> None:
    with pytest.raises(ConfigError, match=r"kubernetes\.volume: got null; several workers"):
        made({"volume": None})
