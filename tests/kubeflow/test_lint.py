"""Tests that what Kubernetes would refuse is refused at compile time."""

from __future__ import annotations

from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.kubeflow import lint

STEPS = ("Plan", "Ingest", "Trainer", "Pusher", "Report")
BASE: dict[str, Any] = {
    "data": {"path": "x.csv", "label": "y", "categorical": ["user"]},
    "evaluation": {"min_auc": 0.6},
}


def check(kubernetes: dict[str, Any], **more: Any) -> None:
    lint.check(from_dict(RankingConfig, {**BASE, **more, "kubernetes": kubernetes}), STEPS)


@pytest.mark.parametrize(
    "kubernetes",
    [
        {},
        {"defaults": {"cpu": "250m", "memory": "1.5Gi", "memory_limit": "2Gi"}},
        {"image": "registry.example:5000/team/babelrank@sha256:" + "0" * 64},
        {"steps": {"Trainer": {"accelerator": "google.com/tpu", "accelerators": 8}}},
        {"metadata": None, "volume": None, "steps": {"Trainer": {"volumes": {"a": "/a"}}}},
    ],
)
def test_what_is_taken(kubernetes: dict[str, Any]) -> None:
    check(kubernetes)


@pytest.mark.parametrize(
    ("kubernetes", "message"),
    [
        ({"steps": {"Trainr": {}}}, r"steps\.Trainr: there is no such step; takes Plan, Ingest"),
        ({"defaults": {"memory": "1Gib"}}, r"defaults\.memory: got '1Gib'; takes a quantity"),
        ({"defaults": {"memory": "4 GB"}}, "takes a quantity"),
        ({"defaults": {"memory": "400m"}}, "thousandths of a byte"),
        ({"defaults": {"memory": "4Gi", "memory_limit": "2Gi"}}, "more than its limit, 2Gi"),
        ({"defaults": {"cpu": "2", "cpu_limit": "500m"}}, "asks for cpu 2"),
        ({"steps": {"Trainer": {"accelerator": "gpu"}}}, "takes the name of a resource"),
        ({"image": "Registry/babelrank"}, "takes an image, such as"),
        ({"steps": {"Trainer": {"image": "a b"}}}, r"steps\.Trainer\.image"),
        ({"steps": {"Trainer": {"node_selector": {"a b": "c"}}}}, "no label of Kubernetes"),
        ({"steps": {"Trainer": {"env": {"a-b": "c"}}}}, "no name of an environment variable"),
        ({"steps": {"Trainer": {"secret_env": {"A": "secret"}}}}, "takes secret/key"),
        ({"metadata_secret": "nothing"}, r"metadata_secret: got 'nothing'; takes secret/key"),
        ({"metadata": "oracle://a@b/c"}, "takes postgresql://"),
        ({"steps": {"Trainer": {"volumes": {"A_B": "/a"}}}}, "volumes: 'A_B': Kubeflow makes it"),
        ({"steps": {"Trainer": {"volumes": {"a": "b"}}}}, "takes an absolute path"),
        (
            {"steps": {"Trainer": {"volumes": {"a": "/mnt/babelrank/"}}}},
            "two volumes are mounted at /mnt/babelrank/",
        ),
        ({"defaults": {"env": {"BABELRANK_METADATA": "sqlite:///x"}}}, "which BabelRank sets"),
        ({"defaults": {"env": {"BABELRANK_POD": "x"}}}, "which BabelRank sets"),
        ({"metadata": "postgresql://me:secret@db/x"}, "has a password, which everybody could read"),
        ({"steps": {"Trainer": {"volumes": {"team.data": "/a"}}}}, "takes a-z, 0-9 and -"),
        ({"steps": {"Trainer": {"secret_volumes": {"a" * 64: "/a"}}}}, "63 characters at the most"),
        ({"steps": {"Trainer": {"volumes": {"a": "/b:c"}}}}, "that is not / and has no colon"),
        ({"steps": {"Trainer": {"volumes": {"a": "//"}}}}, "that is not / and has no colon"),
        ({"volume": "a", "defaults": {"volumes": {"a": "/b"}}}, "a: stands twice; takes each"),
        ({"volume": "My_Claim"}, r"kubernetes\.volume: 'My_Claim': Kubeflow makes it"),
        ({"steps": {"Trainer": {"accelerator": "Nvidia.com/gpu x"}}}, "takes the name of a resour"),
        ({"root": "/"}, "takes a path that is not / and has no colon"),
        ({"service_account": "A B"}, r"kubernetes\.service_account"),
        ({"image_pull_secrets": ["ok", "A B"]}, r"image_pull_secrets\[1\]"),
        ({"root": "/mnt/a:b"}, "takes a path that is not / and has no colon"),
        ({"defaults": {"annotations": {"a b": "c"}}}, "no name of an annotation"),
        ({"defaults": {"tolerations": [{"key": "a b"}]}}, "is no taint"),
        ({"defaults": {"secret_env": {"A": "secret/ß"}}}, "takes secret/key"),
        (
            {"steps": {"Trainer": {"env": {"A": "1"}, "secret_env": {"A": "b/c"}}}},
            "A: stands twice; takes each variable and volume",
        ),
    ],
)
def test_what_is_refused(kubernetes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(kubernetes)


@pytest.mark.parametrize("name", ["1clicks", "a" * 51])
def test_names_that_kubeflow_does_not_take(name: str) -> None:
    with pytest.raises(ConfigError, match="on Kubeflow it takes at most 50 letters"):
        check({}, name=name)


def test_templates_of_argo_are_refused() -> None:
    container: dict[str, Any] = {
        "command": ["python"],
        "args": ["--config", '{"path": "{{workflow.name}}"}'],
    }
    spec = {"deploymentSpec": {"executors": {"exec-plan": {"container": container}}}}
    with pytest.raises(ConfigError, match=r"exec-plan: Argo would replace \{\{…\}\}"):
        lint.check_spec(spec, {})
    container |= {"args": [], "env": [{"name": "A", "value": "{{workflow.name}}"}]}
    with pytest.raises(ConfigError, match=r"exec-plan: Argo would replace"):
        lint.check_spec(spec, {})
    container |= {"args": ["x" * 130_000], "env": []}
    with pytest.raises(ConfigError, match="got an argument of 130,000 characters"):
        lint.check_spec(spec, {})
    container["args"] = ["{{$.inputs.parameters['run_id']}}", "{{$}}"]
    lint.check_spec(spec, {})


def test_a_pipeline_that_etcd_would_not_hold() -> None:
    with pytest.raises(ConfigError, match="has 1,000,[0-9]+ characters"):
        lint.check_spec({"deploymentSpec": {"executors": {}}, "x": "y" * 1_000_000}, {})
