"""Tests of k8s/flink: it fits the image, the steps and (where Maven has it) the operator."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from babelrank.components.config import from_dict
from babelrank.pipelines.beam import BeamConfig
from tests.beam.test_flink import FLINK
from tests.kubeflow.manifests.conftest import tools  # noqa: F401  (a fixture)
from tests.kubeflow.manifests.tools import K8S, Tools, kustomize

CRD = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"


@pytest.fixture(scope="module")
def built(tools: Tools) -> dict[str, dict[str, Any]]:  # noqa: F811
    """What `kubectl kustomize` makes, by kind and name."""
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in kustomize(K8S / "flink")}


@pytest.fixture(scope="module")
def flink(built: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The spec of the Flink cluster."""
    spec: dict[str, Any] = built["FlinkDeployment/babelrank-flink"]["spec"]
    return spec


@pytest.fixture(scope="module")
def workers(flink: dict[str, Any]) -> dict[str, Any]:
    """The container of the workers."""
    (container,) = flink["taskManager"]["podTemplate"]["spec"]["containers"]
    return container


def test_versions(built: dict[str, dict[str, Any]], flink: dict[str, Any]):
    lock = (K8S / "requirements.lock").read_text()
    (beam,) = set(re.findall(r"^apache-beam==([\d.]+)", lock, re.MULTILINE))
    pod = built["Deployment/beam-job-server"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"apache/beam_flink{FLINK}_job_server:{beam}"
    assert flink["image"] == f"flink:{FLINK}"
    assert flink["flinkVersion"] == "v" + FLINK.replace(".", "_")


def test_workers_run_our_image(workers: dict[str, Any]):
    kept = yaml.safe_load((K8S / "overlays/local/kustomization.yaml").read_text())["images"]
    assert workers["image"] == f"{kept[0]['name']}:{kept[0]['newTag']}"
    assert workers["volumeMounts"][0] == {"name": "artifacts", "mountPath": "/mnt/babelrank"}


def test_the_readme_configures_what_is_there(
    built: dict[str, dict[str, Any]], flink: dict[str, Any], workers: dict[str, Any]
):
    text = (K8S / "flink/README.md").read_text()
    (section,) = re.findall(r"^    beam:\n(?:      .*\n)+", text, re.MULTILINE)
    config = from_dict(BeamConfig, yaml.safe_load(section)["beam"], "beam")
    service = built["Service/beam-job-server"]
    assert config.job_endpoint == f"beam-job-server:{service['spec']['ports'][0]['port']}"
    assert f"--service_port={(config.environment_config or '').split(':')[1]}" in workers["args"]
    slots = int(flink["flinkConfiguration"]["taskmanager.numberOfTaskSlots"])
    assert config.workers == slots
    assert config.parallelism == slots * flink["taskManager"]["replicas"]


def test_pods_are_restricted(built: dict[str, dict[str, Any]], flink: dict[str, Any]):
    server = built["Deployment/beam-job-server"]["spec"]["template"]["spec"]
    common = flink["podTemplate"]["spec"]
    for pod in (server, common):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
    added = flink["taskManager"]["podTemplate"]["spec"]
    assert "securityContext" not in added  # the common one holds
    for container in (*server["containers"], *common["containers"], *added["containers"]):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
    for container in (*common["containers"], *added["containers"]):
        assert container["securityContext"]["runAsUser"] > 0
    assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint({*server, *common, *added})
    volumes = (volume for pod in (server, common, added) for volume in pod.get("volumes", []))
    assert all({"emptyDir", "persistentVolumeClaim"} & set(volume) for volume in volumes)


@pytest.mark.slow
def test_the_operator_knows_every_field(built: dict[str, dict[str, Any]], tmp_path: Path):
    jsonschema = pytest.importorskip("jsonschema", reason="kfp brings it on Python 3.11 only")
    artifact = "org.apache.flink:flink-kubernetes-operator-api:1.10.0"
    if not shutil.which("mvn"):
        pytest.skip("there is no `mvn` here to fetch the operator's schema")
    command = ["mvn", "--batch-mode", "--quiet", "dependency:copy", f"-Dartifact={artifact}"]
    done = subprocess.run(
        [*command, f"-DoutputDirectory={tmp_path}"], capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        pytest.skip(f"Maven has not got {artifact} here")
    with zipfile.ZipFile(*tmp_path.glob("*.jar")) as jar:
        (version,) = yaml.safe_load(jar.read(CRD))["spec"]["versions"]
    assert version["name"] == "v1beta1"
    schema = _strict(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    deployment = built["FlinkDeployment/babelrank-flink"]
    jsonschema.validate(deployment, schema)
    deployment["spec"]["taskManager"]["podTemplate"]["spec"]["nosuchfield"] = 1
    with pytest.raises(jsonschema.ValidationError, match="nosuchfield"):
        jsonschema.validate(deployment, schema)


def _strict(schema: Any) -> Any:
    """The schema with unknown fields refused, as the API server drops them without a word."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _strict(value) for name, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    if found.pop("x-kubernetes-int-or-string", False):
        found.pop("type", None)
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return found
