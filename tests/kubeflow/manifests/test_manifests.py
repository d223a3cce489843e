"""Every kustomization of k8s/ is built and validated; own checks see what the schemas do not."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kubeflow.manifests import checks
from tests.kubeflow.manifests.checks import quantity
from tests.kubeflow.manifests.models import KINDS, Models
from tests.kubeflow.manifests.objects import of_kind, pods
from tests.kubeflow.manifests.tools import HERE, K8S, Document, Tools, kustomize

VERSIONS = ("1.30.0", "1.37.0")
"""The oldest Kubernetes that k8s/README.md names, and the newest that there are schemas for."""


def custom(document: Document) -> bool:
    return (document["apiVersion"], document["kind"]) in KINDS


def validate(tools: Tools, documents: list[Document]) -> list[str]:
    ran = tools.run("python", HERE / "schemas.py", *VERSIONS, given=json.dumps(documents))
    assert ran.returncode == 0, ran.stderr
    found: list[str] = json.loads(ran.stdout)
    return found


def test_overlays_are_there(built: dict[str, list[Document]]) -> None:
    wanted = {
        "base",
        "flink",
        "overlays/local",
        "overlays/gpu",
        "overlays/tpu-gke",
        "overlays/cronjob",
        "overlays/cronjob-local",
    }
    assert wanted <= built.keys()


def test_fits_the_schemas(built: dict[str, list[Document]], tools: Tools) -> None:
    everything = {json.dumps(one): one for documents in built.values() for one in documents}
    assert validate(tools, [one for one in everything.values() if not custom(one)]) == []


def test_custom_resources_fit_their_models(kustomization: list[Document], tools: Tools) -> None:
    models = Models(tools.packages)
    found = (models.complaints(one) for one in kustomization if custom(one))
    assert [text for texts in found for text in texts] == []


@pytest.mark.parametrize("check", checks.ALL)
def test_own_checks(
    check: Callable[[list[Document]], list[str]], kustomization: list[Document]
) -> None:
    assert check(kustomization) == []


def test_what_is_made_by_hand_is_explained() -> None:
    text = (K8S / "README.md").read_text("utf-8")
    assert [name for names in checks.GIVEN.values() for name in names if name not in text] == []


def test_schemas_see_mistakes(built: dict[str, list[Document]], tools: Tools) -> None:
    good = one(built["overlays/cronjob"], "CronJob")
    unknown_kind = {**good, "kind": "CronJub"}
    unknown_field = copy.deepcopy(good)
    unknown_field["spec"]["concurency"] = "Forbid"
    wrong_type = copy.deepcopy(good)
    wrong_type["spec"]["jobTemplate"]["spec"]["backoffLimit"] = "three"
    for bad, words in (
        (unknown_kind, "unknown kind"),
        (unknown_field, "concurency"),
        (wrong_type, "three"),
    ):
        found = validate(tools, [bad])
        assert len(found) == len(VERSIONS)
        assert all(words in text for text in found)


def test_models_see_mistakes(built: dict[str, list[Document]], tools: Tools) -> None:
    models = Models(tools.packages)
    good = one(built["components/kserve"], "InferenceService")

    def complaints(change: Callable[[Any], Any]) -> list[str]:
        bad = copy.deepcopy(good)
        change(bad["spec"])
        return models.complaints(bad)

    assert models.complaints(good) == []
    name = f"InferenceService {good['metadata']['name']}"
    model = f"{name}.spec.predictor.model"
    assert complaints(lambda spec: spec["predictor"]["model"].update(modelFromat={})) == [
        f"{model}: unknown field modelFromat"
    ]
    assert complaints(lambda spec: spec["predictor"].update(minReplicas="one")) == [
        f"{name}.spec.predictor.minReplicas: got 'one'; takes int"
    ]
    assert complaints(lambda spec: spec["predictor"]["model"].pop("modelFormat")) == [
        f"{model}: modelFormat is missing"
    ]
    assert complaints(lambda spec: spec.pop("predictor")) == [f"{name}.spec: predictor is missing"]


def test_a_training_job_needs_its_policy(tools: Tools) -> None:
    job = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": "job"},
        "spec": {"tfReplicaSpecs": {"Worker": {"replicas": 2, "restartPolicy": "ExitCode"}}},
    }
    models = Models(tools.packages)
    assert models.complaints(job) == ["TFJob job.spec: runPolicy is missing"]


def one(documents: list[Document], kind: str, name: str | None = None) -> Document:
    return next(
        found for found in of_kind(documents, kind) if name in (None, found["metadata"]["name"])
    )


def container(documents: list[Document], kind: str = "Deployment") -> Any:
    return one(documents, kind)["spec"]["template"]["spec"]["containers"][0]


def set_(target: Any, key: Any, value: Any) -> None:
    target[key] = value


MISTAKES: list[tuple[Callable[[list[Document]], list[str]], Callable[[Any], Any], str]] = [
    (
        checks.quantities,
        lambda all_: set_(container(all_)["resources"]["limits"], "memory", "1Gib"),
        "1Gib",
    ),
    (
        checks.quantities,
        lambda all_: set_(container(all_)["resources"]["requests"], "memory", "1Ti"),
        "above the limit",
    ),
    (
        checks.selectors,
        lambda all_: set_(one(all_, "Service")["spec"]["selector"], "babelrank/pipeline", "x"),
        "selects no pod",
    ),
    (
        checks.selectors,
        lambda all_: set_(
            one(all_, "Deployment")["spec"]["selector"]["matchLabels"], "more", "yes"
        ),
        "does not select its own pods",
    ),
    (
        checks.ports,
        lambda all_: set_(one(all_, "Service")["spec"]["ports"][0], "targetPort", "gprc"),
        "has no gprc",
    ),
    (
        checks.ports,
        lambda all_: set_(
            one(all_, "Deployment")["spec"]["template"]["metadata"]["annotations"],
            "prometheus.io/port",
            "8502",
        ),
        "has no 8502",
    ),
    (
        checks.references,
        lambda all_: all_.remove(one(all_, "PersistentVolumeClaim")),
        "there is no PersistentVolumeClaim babelrank-artifacts",
    ),
    (
        checks.references,
        lambda all_: set_(container(all_)["volumeMounts"][0], "name", "artefacts"),
        "no volume artefacts",
    ),
    (
        checks.references,
        lambda all_: set_(one(all_, "RoleBinding")["roleRef"], "name", "admin"),
        "there is no Role admin",
    ),
    (checks.images, lambda all_: set_(container(all_), "image", "babelrank"), "has no version"),
    (
        checks.images,
        lambda all_: set_(container(all_), "image", "registry.example:5000/babelrank:1"),
        "names a registry",
    ),
    (
        checks.restricted,
        lambda all_: container(all_)["securityContext"].pop("capabilities"),
        "capabilities",
    ),
    (
        checks.restricted,
        lambda all_: one(all_, "Deployment")["spec"]["template"]["spec"]["volumes"].append(
            {"name": "machine", "hostPath": {"path": "/"}}
        ),
        "is of a kind that is refused",
    ),
    (
        checks.rights,
        lambda all_: one(all_, "Role")["rules"][1].pop("resourceNames"),
        "a right to all secrets",
    ),
    (
        checks.rights,
        lambda all_: set_(one(all_, "Role")["rules"][0], "verbs", ["*"]),
        "a right to everything",
    ),
    (
        checks.namespaces,
        lambda all_: set_(one(all_, "Service")["metadata"], "namespace", "default"),
        "several namespaces",
    ),
    (
        checks.proxies,
        lambda all_: one(all_, "StatefulSet")["spec"]["template"]["metadata"].pop("annotations"),
        "StatefulSet metadata-db: no annotation sidecar.istio.io/inject",
    ),
]


@pytest.mark.parametrize(("check", "spoil", "words"), MISTAKES)
def test_own_checks_see_mistakes(
    check: Callable[[list[Document]], list[str]],
    spoil: Callable[[Any], Any],
    words: str,
    built: dict[str, list[Document]],
) -> None:
    documents = copy.deepcopy(built["overlays/gpu"])
    assert check(documents) == []
    spoil(documents)
    assert any(words in text for text in check(documents))


@pytest.mark.parametrize("name", ["cronjob", "gpu", "local", "tpu-gke"])
def test_kserve_takes_the_place_of_serving(name: str, tmp_path: Path, tools: Tools) -> None:
    shutil.copytree(K8S, tmp_path / "k8s")
    file = tmp_path / "k8s" / "overlays" / name / "kustomization.yaml"
    content = file.read_text("utf-8")
    file.write_text(content.replace("components/serving", "components/kserve"), "utf-8")
    documents = kustomize(file.parent)
    assert [text for check in checks.ALL for text in check(documents)] == []
    servers = [pod for pod in pods(documents) if pod.owner["kind"] == "InferenceService"]
    assert len(servers) == 4
    bucket = {one.annotations.get("gke-gcsfuse/volumes") for one in servers}
    assert bucket == ({"true"} if name == "tpu-gke" else {None})


KSERVE_MISTAKES: list[tuple[Callable[[list[Document]], list[str]], Callable[[Any], Any], str]] = [
    (
        checks.proxies,
        lambda all_: one(all_, "InferenceService")["metadata"]["labels"].pop(checks.NO_PROXY),
        "InferenceService babelrank-ranking: no label sidecar.istio.io/inject",
    ),
    (
        checks.references,
        lambda all_: all_.remove(one(all_, "ConfigMap", "babelrank-kserve-monitoring")),
        "there is no ConfigMap babelrank-kserve-monitoring",
    ),
    (
        checks.references,
        lambda all_: set_(
            one(all_, "InferenceService")["spec"]["predictor"]["model"],
            "storageUri",
            "pvc://artefacts/ranking/serving",
        ),
        "there is no PersistentVolumeClaim artefacts",
    ),
    (
        checks.ports,
        lambda all_: set_(
            one(all_, "ServingRuntime")["spec"]["annotations"], "prometheus.io/port", "8501"
        ),
        "has no 8501",
    ),
    (
        checks.ports,
        lambda all_: one(all_, "ServingRuntime", "babelrank-tensorflow")["spec"]["containers"][0][
            "ports"
        ].pop(),
        "no pod has 9000",
    ),
    (
        checks.restricted,
        lambda all_: one(all_, "ServingRuntime")["spec"]["containers"][0]["securityContext"].pop(
            "capabilities"
        ),
        "capabilities",
    ),
    (
        checks.selectors,
        lambda all_: set_(
            one(all_, "NetworkPolicy", "babelrank-kserve")["spec"]["podSelector"][
                "matchExpressions"
            ][0],
            "values",
            ["ranking"],
        ),
        "NetworkPolicy babelrank-kserve: selects no pod",
    ),
]


@pytest.mark.parametrize(("check", "spoil", "words"), KSERVE_MISTAKES)
def test_own_checks_see_mistakes_for_kserve(
    check: Callable[[list[Document]], list[str]],
    spoil: Callable[[Any], Any],
    words: str,
    built: dict[str, list[Document]],
) -> None:
    documents = copy.deepcopy(built["components/kserve"])
    assert check(documents) == []
    spoil(documents)
    assert any(words in text for text in check(documents))


@pytest.mark.parametrize(
    ("text", "number"), [("1Gi", 2**30), ("500m", 0.5), (2, 2), ("1k", 1000), ("2M", 2_000_000)]
)
def test_quantity(text: str | int, number: float) -> None:
    assert float(quantity(text)) == number


@pytest.mark.parametrize("text", ["1Gib", "1K", "-1", "", "1 Gi", "ten"])
def test_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)


def test_kustomize_refuses(tmp_path: Any, tools: Tools) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [nowhere.yaml]", "utf-8")
    with pytest.raises(ValueError, match="nowhere.yaml"):
        kustomize(tmp_path)
