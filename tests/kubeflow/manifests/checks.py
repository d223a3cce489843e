"""What Kubernetes's schemas do not see: quantities, selectors, ports, references, images, rights.

Each check takes the documents of a kustomization and gives complaints.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from tests.kubeflow.manifests.objects import FLINK_MAIN, Pod, named, of_kind, pods, selects, walk
from tests.kubeflow.manifests.tools import Document

GIVEN = {
    "Secret": {"babelrank-webhook", "metadata-db", "mysql-secret"},
    "ConfigMap": set[str](),
    "PersistentVolumeClaim": set[str](),
    "ServiceAccount": set[str](),
}
"""What k8s/README.md has made by hand, or what Kubeflow brings along."""

NO_PROXY = "sidecar.istio.io/inject"
"""Newer releases of Istio read the label, older ones the annotation."""

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|)")
_FACTORS = {"m": Decimal("0.001"), "": Decimal(1)} | {
    letter + two: Decimal(1024 if two else 1000) ** power
    for power, letter in enumerate("KMGTPE", 1)
    for two in ("", "i")
}
_FACTORS["k"] = _FACTORS.pop("K")
_VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"),
    *("projected", "secret"),
}


def quantity(text: str | int) -> Decimal:
    """The number that a quantity means.

    Raises:
        ValueError: It is none.
    """
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    return Decimal(found[1]) * _FACTORS[found[2]]


def quantities(documents: list[Document]) -> list[str]:
    """Amounts that are none, and requests above limits."""
    found = []
    for document in documents:
        for path, value in walk(document):
            if not path or not isinstance(value, dict | str | int):
                continue
            where = f"{document['kind']} {document['metadata']['name']} {'.'.join(path)}"
            if path[-1] == "sizeLimit":
                found += _unfit({"sizeLimit": value}, where)
            elif path[-1] in ("requests", "limits", "capacity") and isinstance(value, dict):
                found += _unfit(value, where)
            elif path[-1] == "resources" and isinstance(value, dict):
                found += _above(value, where)
    return found


def _unfit(amounts: dict[str, Any], where: str) -> list[str]:
    return [f"{where}: {text!r}" for text in amounts.values() if not _fits(text)]


def _fits(text: Any) -> bool:
    try:
        quantity(text)
    except ValueError:
        return False
    return True


def _above(resources: dict[str, Any], where: str) -> list[str]:
    limits = resources.get("limits", {})
    asked = ((name, text) for name, text in resources.get("requests", {}).items() if name in limits)
    return [
        f"{where}: {name} asks for {text}, above the limit of {limits[name]}"
        for name, text in asked
        if _fits(text) and _fits(limits[name]) and quantity(text) > quantity(limits[name])
    ]


def selectors(documents: list[Document]) -> list[str]:
    """Selectors that select nothing."""
    found, everyone = [], pods(documents)
    for pod in everyone:
        selector = pod.owner["spec"].get("selector")
        if selector is not None and not selects(selector, pod.labels):
            found.append(f"{pod.name}: its selector does not select its own pods")
    for document in of_kind(documents, "Service", "PodDisruptionBudget", "NetworkPolicy"):
        if not _selected(document, everyone):
            found.append(f"{document['kind']} {document['metadata']['name']}: selects no pod")
    return found


def _selected(document: Document, everyone: list[Pod]) -> list[Pod]:
    spec = document["spec"]
    selector = spec.get("podSelector", spec.get("selector"))
    if document["kind"] == "Service":
        selector = {"matchLabels": selector}
    return [pod for pod in everyone if selects(selector, pod.labels)]


def ports(documents: list[Document]) -> list[str]:
    """Ports that nobody opens: of services, probes, policies, and for Prometheus."""
    found, everyone = [], pods(documents)
    for document in of_kind(documents, "Service"):
        wanted = [port.get("targetPort", port["port"]) for port in document["spec"]["ports"]]
        name = f"Service {document['metadata']['name']}"
        for pod in _selected(document, everyone):
            found += [f"{name}: {pod.name} has no {one}" for one in wanted if not pod.opens(one)]
    for document in of_kind(documents, "NetworkPolicy"):
        rules = document["spec"].get("ingress", [])
        wanted = [port["port"] for rule in rules for port in rule.get("ports", [])]
        name = f"NetworkPolicy {document['metadata']['name']}"
        selected = _selected(document, everyone)
        # One pod is enough: of KServe's two runtimes only one opens a port for gRPC.
        found += [
            f"{name}: no pod has {one}"
            for one in wanted
            if not any(pod.opens(one) for pod in selected)
        ]
    for pod in everyone:
        wanted = [
            value["port"]
            for path, value in walk(pod.spec)
            if path and path[-1] in ("httpGet", "tcpSocket")
        ]
        if "prometheus.io/port" in pod.annotations:
            wanted.append(int(pod.annotations["prometheus.io/port"]))
        found += [f"{pod.name}: has no {one}" for one in wanted if not pod.opens(one)]
    return found


def references(documents: list[Document]) -> list[str]:
    """Names of things that are neither there nor, by k8s/README.md, made by hand."""
    there = {kind: named(documents, kind) | given for kind, given in GIVEN.items()}
    found = []
    for pod in pods(documents):
        for kind, name in _references(pod):
            if name not in there[kind]:
                found.append(f"{pod.name}: there is no {kind} {name}")
        for container in pod.containers:
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            found += [f"{pod.name}: no volume {name}" for name in sorted(mounted - pod.volumes)]
    for binding in of_kind(documents, "RoleBinding"):
        name, role = binding["metadata"]["name"], binding["roleRef"]
        if role["kind"] != "Role" or role["name"] not in named(documents, "Role"):
            found.append(f"RoleBinding {name}: there is no {role['kind']} {role['name']}")
        for subject in binding["subjects"]:
            if subject["name"] not in there["ServiceAccount"]:
                found.append(f"RoleBinding {name}: there is no account {subject['name']}")
    return found


def _references(pod: Pod) -> list[tuple[str, str]]:
    found = [("ServiceAccount", pod.spec["serviceAccountName"])]
    for path, value in walk(pod.spec):
        match path[-1:]:
            case ("claimName",):
                found.append(("PersistentVolumeClaim", value))
            case ("secretName",):
                found.append(("Secret", value))
            case ("secretKeyRef",) | ("secretRef",):
                found.append(("Secret", value["name"]))
            case ("configMap",) | ("configMapKeyRef",) | ("configMapRef",):
                found.append(("ConfigMap", value["name"]))
    return found


def images(documents: list[Document]) -> list[str]:
    """Images without a version, or with a registry: the cluster's own settings say which."""
    found = []
    for document in documents:
        for path, value in walk(document):
            if path[-1:] != ("image",):
                continue
            host, slash, _ = value.partition("/")
            tag = value.rpartition(":")[2] if ":" in value.rpartition("/")[2] else ""
            where = f"{document['kind']} {document['metadata']['name']}: {value}"
            if tag in ("", "latest"):
                found.append(f"{where} has no version")
            if slash and ("." in host or ":" in host or host == "localhost"):
                found.append(f"{where} names a registry")
    return found


def restricted(documents: list[Document]) -> list[str]:
    """What the pod security standard "restricted" refuses, and roots that can be written."""
    found = []
    for pod in pods(documents):
        spec, all_pods = pod.spec, pod.spec.get("securityContext", {})
        found += [
            f"{pod.name}: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if key in spec
        ]
        for volume in spec.get("volumes", []):
            if not (volume.keys() - {"name"}) <= _VOLUMES:
                found.append(f"{pod.name}: volume {volume['name']} is of a kind that is refused")
        for container in pod.containers:
            own = {**all_pods, **container.get("securityContext", {})}
            fits = {
                "runAsNonRoot": own.get("runAsNonRoot") is True and own.get("runAsUser") != 0,
                "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
                "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
                "seccompProfile": own.get("seccompProfile") == {"type": "RuntimeDefault"},
                # Flink writes its configuration where the image has it.
                "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True
                or container["name"] == FLINK_MAIN,
                "privileged": "privileged" not in own,
            }
            found += [f"{pod.name}: {key}" for key, good in fits.items() if not good]
    return found


def rights(documents: list[Document]) -> list[str]:
    """Rights beyond one namespace, or for everything."""
    kinds = ("ClusterRole", "ClusterRoleBinding")
    found = [f"{one['kind']} {one['metadata']['name']}" for one in of_kind(documents, *kinds)]
    for role in of_kind(documents, "Role"):
        for rule in role["rules"]:
            name = f"Role {role['metadata']['name']}"
            if any("*" in values for values in rule.values()):
                found.append(f"{name}: a right to everything")
            if "secrets" in rule["resources"] and not rule.get("resourceNames"):
                found.append(f"{name}: a right to all secrets")
    return found


def namespaces(documents: list[Document]) -> list[str]:
    """Documents that lie in another namespace than the rest."""
    outside = ("Namespace", "PersistentVolume")
    inside = [one for one in documents if one["kind"] not in outside]
    used = sorted({one["metadata"].get("namespace", "") for one in inside})
    return [] if len(used) == 1 else [f"several namespaces: {used}"]


def proxies(documents: list[Document]) -> list[str]:
    """Pods that get Istio's proxy, which our network rules cut off, and which outlives a job."""
    found = []
    for pod in pods(documents):
        for what, values in (("label", pod.labels), ("annotation", pod.annotations)):
            if values.get(NO_PROXY) != "false":
                found.append(f"{pod.name}: no {what} {NO_PROXY}")
    return found


ALL = (quantities, selectors, ports, references, images, restricted, rights, namespaces, proxies)
"""All checks."""
