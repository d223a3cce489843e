"""Tests of the YAML that Kubeflow gets: compared with golden files, and with Kubeflow's own rules.

BABELRANK_WRITE_GOLDEN=1 writes the golden files anew; look at the difference before you commit.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from babelrank.components.config import load_yaml
from babelrank.pipelines.kubeflow.compile import compile_pipeline
from babelrank.pipelines.options import PIPELINES

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("BABELRANK_WRITE_GOLDEN") == "1"
MASKED = (
    (r"sdkVersion: kfp-\S+", "sdkVersion: kfp"),
    (r"babelrank \S+, tfx \S+", "babelrank 0, tfx 0"),
)
LATER_BACKENDS = ("securityContext",) if sys.version_info < (3, 12) else ()
"""What backend 2.16 reads and the SDK for Python 3.11 does not know."""


def anew(name: str, retrain: bool = False, *overrides: str) -> str:
    config = load_yaml(PIPELINES[name], GOLDEN / f"{name}.config.yaml", overrides)
    return compile_pipeline(config, retrain=retrain)


compiled = functools.cache(anew)


@pytest.fixture(scope="module", params=["ranking", "translation"])
def documents(request: pytest.FixtureRequest) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
    """Name, text, the pipeline and what Kubernetes gets."""
    text = compiled(request.param)
    spec, platform = yaml.safe_load_all(text)
    return request.param, text, spec, platform


def test_it_is_the_golden_one(documents: Any) -> None:
    name, text, _, _ = documents
    for pattern, mask in MASKED:
        text = re.sub(pattern, mask, text)
    path = GOLDEN / f"{name}.yaml"
    if WRITE:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_it_is_the_same_every_time(documents: Any) -> None:
    name, text, _, _ = documents
    assert anew(name) == text


def test_the_schema_is_the_one_that_kubeflow_reads(documents: Any) -> None:
    _, _, spec, platform = documents
    assert spec["schemaVersion"] == "2.1.0"
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())  # refuses unknown fields
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == spec["deploymentSpec"]["executors"].keys()
    for given in executors.values():
        assert given["securityContext"] == {"runAsNonRoot": True}
        known = {key: value for key, value in given.items() if key not in LATER_BACKENDS}
        json_format.ParseDict(known, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def test_names_are_what_argo_takes(documents: Any) -> None:
    _, _, spec, _ = documents
    tasks = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    names = (
        spec["pipelineInfo"]["name"],
        *spec["components"],
        *tasks,
        *spec["root"]["dag"]["tasks"],
    )
    for name in names:
        assert re.fullmatch(r"[a-zA-Z0-9][-a-zA-Z0-9]*", name)
        assert len(name) <= 63


def test_the_edges_are_those_of_the_graph() -> None:
    spec = next(yaml.safe_load_all(compiled("ranking")))
    tasks = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    edges = {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()}
    assert edges["plan"] == set()
    assert edges["ingest"] == {"plan"}
    assert edges["transform"] == {"ingest", "schema"}
    assert edges["trainer"] >= {"transform", "schema"}
    # As on a laptop, nothing is pushed when the validator failed, for which nobody waits.
    assert {"evaluator", "trainer", "serving-check"} <= edges["pusher"]
    assert "example-validator" in edges["evaluator"]
    (report,) = (
        task
        for task in spec["root"]["dag"]["tasks"].values()
        if task["componentRef"]["name"] == "comp-report"
    )
    assert report["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_kubeflow_does_not_cache(documents: Any) -> None:
    _, _, spec, _ = documents
    dags = [spec["root"]["dag"], spec["components"]["comp-exit-handler-1"]["dag"]]
    tasks = [t for dag in dags for n, t in dag["tasks"].items() if n != "exit-handler-1"]
    assert len(tasks) > 10
    assert all(not task["cachingOptions"].get("enableCache") for task in tasks)


def test_a_step_is_tried_again_however_long_it_took() -> None:
    spec = next(yaml.safe_load_all(compiled("ranking")))
    tasks = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    policies = [task["retryPolicy"] for task in tasks.values() if "retryPolicy" in task]
    # Argo counts it from the beginning of the first try; kfp's own is an hour.
    assert {policy["backoffMaxDuration"] for policy in policies} == {"31536000s"}


def test_what_a_step_gets() -> None:
    spec, platform = yaml.safe_load_all(compiled("ranking"))
    trainer = spec["deploymentSpec"]["executors"]["exec-trainer"]["container"]
    assert trainer["image"] == "registry.example/babelrank:1.0-gpu"
    resources = trainer["resources"]
    assert resources["resourceCpuRequest"] == "1"
    assert resources["resourceCpuLimit"] == "8"
    assert resources["resourceMemoryRequest"] == "16Gi"
    assert resources["resourceMemoryLimit"] == "24Gi"
    assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert resources["accelerator"]["resourceCount"] == "2"
    env = {one["name"]: one["value"] for one in trainer["env"]}
    assert env["BABELRANK_METADATA"] == "postgresql://babelrank@metadata-db:5432/babelrank"
    assert env["HTTP_PROXY"] == "http://proxy:3128"
    given = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-trainer"]
    assert given["nodeSelector"]["labels"] == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    assert given["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert given["activeDeadlineSeconds"] == "86400"
    assert {one["mountPath"] for one in given["pvcMount"]} == {"/mnt/babelrank", "/scratch"}
    assert {one["secretName"] for one in given["secretAsEnv"]} == {"metadata-db", "hub"}
    assert given["secretAsVolume"][0]["mountPath"] == "/etc/certificates"
    tasks = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert "retryPolicy" not in tasks["pusher"]
    assert tasks["ingest"]["retryPolicy"]["maxRetryCount"] == 2


def test_no_password_stands_in_it(documents: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name, text, _, _ = documents
    monkeypatch.setenv("BABELRANK_METADATA", "postgresql://me:s3cr3t-x@db/x")
    monkeypatch.setenv("BABELRANK_METADATA_PASSWORD", "s3cr3t-x")
    assert anew(name) == text
    assert "password" not in text.replace("secretKey: password", "").replace(
        "metadata-db/password", ""
    ).replace("BABELRANK_METADATA_PASSWORD", "")


def test_a_retraining_starts_from_the_last_blessed_model() -> None:
    spec = next(yaml.safe_load_all(compiled("ranking", retrain=True)))
    executors = spec["deploymentSpec"]["executors"]
    assert "exec-last-model" in executors
    assert "--retrain" in executors["exec-plan"]["container"]["args"]
    plain = next(yaml.safe_load_all(compiled("ranking")))["deploymentSpec"]["executors"]
    assert "exec-last-model" not in plain
    assert "--retrain" not in plain["exec-plan"]["container"]["args"]


def test_the_configuration_holds_nothing_that_kubernetes_or_argo_expand() -> None:
    path = "logs/$(HOME)/{{workflow.name}}/day={YYYY}{MM}{DD}.csv"
    spec = next(yaml.safe_load_all(compiled("ranking", False, f"data.path='{path}'")))
    arguments = spec["deploymentSpec"]["executors"]["exec-plan"]["container"]["args"]
    config = arguments[arguments.index("--config") + 1]
    assert "$" not in config
    assert "{{" not in config
    assert json.loads(config)["data"]["path"] == path


def test_the_fingerprint_follows_the_graph() -> None:
    def mark(*overrides: str) -> str:
        spec = next(yaml.safe_load_all(compiled("ranking", False, *overrides)))
        args: list[str] = spec["deploymentSpec"]["executors"]["exec-trainer"]["container"]["args"]
        return args[args.index("--fingerprint") + 1]

    assert mark() == mark("kubernetes.image=other:2", "schedule.cron=1 1 1 1 1")
    assert mark() != mark("training.epochs=77")
