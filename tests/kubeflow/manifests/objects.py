"""The documents of a kustomization as what a cluster makes of them: pods and who selects them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.kubeflow.manifests.tools import Document

TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where workloads keep the template of their pods."""

FLINK_MAIN = "flink-main-container"
FLINK_PORTS = (8081, 6121, 6122, 6123, 6124)
"""The container of a FlinkDeployment that the operator fills in, and the ports that it gives it."""

FLINK_BY_NAME = "kubernetes.operator.pod-template.merge-arrays-by-name"
"""The setting that has the operator merge lists in pod templates by name, not by place."""


@dataclass(frozen=True)
class Pod:
    """The pods that a workload makes.

    Attributes:
        owner: The workload.
        labels: Labels of the pods.
        annotations: Their annotations.
        spec: Their specification.
    """

    owner: Document
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        """Kind and name of the workload."""
        return f"{self.owner['kind']} {self.owner['metadata']['name']}"

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All containers."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """Ports that its containers open, by name."""
        opened = (port for one in self.containers for port in one.get("ports", []))
        return {port["name"]: port["containerPort"] for port in opened}

    @property
    def volumes(self) -> set[str]:
        """Names of the volumes that its containers can mount."""
        claims = self.owner["spec"].get("volumeClaimTemplates", [])
        own = {volume["name"] for volume in self.spec.get("volumes", [])}
        return own | {claim["metadata"]["name"] for claim in claims}

    def opens(self, port: str | int) -> bool:
        """Whether a port, by name or number, is open."""
        filled_in = FLINK_PORTS if self.owner["kind"] == "FlinkDeployment" else ()
        return port in self.ports or port in self.ports.values() or port in filled_in


def pods(documents: list[Document]) -> list[Pod]:
    """The pods of all workloads."""
    found = []
    for document in documents:
        if (path := TEMPLATES.get(document["kind"])) is not None:
            template: Any = document
            for key in path:
                template = template[key]
            data = template.get("metadata", {})
            found.append(
                Pod(
                    owner=document,
                    labels=data.get("labels", {}),
                    annotations=data.get("annotations", {}),
                    spec=template["spec"],
                )
            )
        elif document["kind"] == "FlinkDeployment":
            found += _flink_pods(document)
        elif document["kind"] == "InferenceService":
            runtimes = of_kind(documents, "ServingRuntime")
            found += [_kserve_pod(document, runtime) for runtime in runtimes]
    return found


def _kserve_pod(service: Document, runtime: Document) -> Pod:
    """Pod that KServe makes of an InferenceService, in mode Standard, by one of our runtimes.

    All of them, not only the one that is named: README.md has one choose.
    """
    name, predictor = service["metadata"]["name"], service["spec"]["predictor"]
    claim, _, folder = predictor["model"]["storageUri"].removeprefix("pvc://").partition("/")
    model = {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim}}
    mount = {"name": model["name"], "mountPath": "/mnt/models", "subPath": folder, "readOnly": True}
    own = ("annotations", "labels", "protocolVersions", "supportedModelFormats")
    spec = {key: value for key, value in runtime["spec"].items() if key not in own}
    settings = ("minReplicas", "maxReplicas", "model")
    spec |= {key: value for key, value in predictor.items() if key not in settings}
    server, *others = spec["containers"]
    server = {**server, "volumeMounts": [*server.get("volumeMounts", []), mount]}
    return Pod(
        owner=service,
        labels={
            **runtime["spec"].get("labels", {}),
            **service["metadata"].get("labels", {}),
            "serving.kserve.io/inferenceservice": name,
        },
        annotations={
            **runtime["spec"].get("annotations", {}),
            **service["metadata"].get("annotations", {}),
        },
        spec={
            **spec,
            "containers": [server, *others],
            "volumes": [*spec.get("volumes", []), model],
        },
    )


def _flink_pods(document: Document) -> list[Pod]:
    """Pods of a FlinkDeployment: a template for all, and one each for both kinds of manager."""
    spec = document["spec"]
    by_name = spec["flinkConfiguration"].get(FLINK_BY_NAME) == "true"
    found = []
    for manager in ("jobManager", "taskManager"):
        template = merged(spec["podTemplate"], spec[manager].get("podTemplate", {}), by_name)
        found.append(
            Pod(
                owner=document,
                labels=template["metadata"].get("labels", {}),
                annotations=template["metadata"].get("annotations", {}),
                spec={
                    "volumes": [],
                    **template["spec"],
                    "serviceAccountName": spec["serviceAccount"],
                },
            )
        )
    return found


def merged(common: Any, own: Any, by_name: bool) -> Any:
    """A part of a pod template over the common one, as the Flink operator merges them.

    Args:
        common: The common part.
        own: What is laid over it.
        by_name: Whether `FLINK_BY_NAME` is set. Lists with names are united by them then; otherwise
            the first is merged with the first, whatever it is called, and so on.
    """
    if isinstance(common, dict) and isinstance(own, dict):
        both = {key: merged(common[key], own[key], by_name) for key in common if key in own}
        return {**common, **own, **both}
    if isinstance(common, list) and isinstance(own, list):
        if by_name and all(isinstance(one, dict) and "name" in one for one in common + own):
            parts = ({one["name"]: one for one in part} for part in (common, own))
            return list(merged(*parts, by_name).values())
        pairs = [
            merged(one, other, by_name) if isinstance(other, dict) else one
            for one, other in zip(common, own, strict=False)
        ]
        return [*pairs, *common[len(own) :], *own[len(common) :]]
    return own


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """Documents of some kinds."""
    return [document for document in documents if document["kind"] in kinds]


def named(documents: list[Document], kind: str) -> set[str]:
    """Names of all documents of a kind."""
    return {document["metadata"]["name"] for document in of_kind(documents, kind)}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector with matchLabels and matchExpressions takes pods with some labels."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for rule in selector.get("matchExpressions", []):
        value = labels.get(rule["key"])
        fits = {
            "Exists": value is not None,
            "DoesNotExist": value is None,
            "In": value in rule.get("values", []),
            "NotIn": value not in rule.get("values", []),
        }
        if not fits[rule["operator"]]:
            return False
    return True


def walk(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value inside a document, with the keys that lead to it."""
    yield path, value
    if isinstance(value, dict):
        for key, one in value.items():
            yield from walk(one, (*path, str(key)))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from walk(one, (*path, str(number)))
