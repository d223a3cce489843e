"""The fields of a FlinkDeployment, as the Flink Kubernetes operator 1.10 defines them.

No Python package publishes them. Pods inside are Kubernetes's own.
"""

from __future__ import annotations

FLINK: dict[str, dict[str, str]] = {
    "FlinkDeployment": {
        "apiVersion": "str",
        "kind": "str",
        "metadata": "V1ObjectMeta",
        "spec": "FlinkDeploymentSpec",
    },
    "FlinkDeploymentSpec": {
        "flinkConfiguration": "dict(str, str)",
        "flinkVersion": "str",
        "image": "str",
        "imagePullPolicy": "str",
        "ingress": "FlinkIngress",
        "job": "FlinkJob",
        "jobManager": "FlinkManager",
        "logConfiguration": "dict(str, str)",
        "mode": "str",
        "podTemplate": "V1Pod",
        "restartNonce": "int",
        "serviceAccount": "str",
        "taskManager": "FlinkManager",
    },
    "FlinkIngress": {
        "annotations": "dict(str, str)",
        "className": "str",
        "labels": "dict(str, str)",
        "template": "str",
        "tls": "list[V1IngressTLS]",
    },
    "FlinkJob": {
        "allowNonRestoredState": "bool",
        "args": "list[str]",
        "checkpointTriggerNonce": "int",
        "entryClass": "str",
        "initialSavepointPath": "str",
        "jarURI": "str",
        "parallelism": "int",
        "savepointRedeployNonce": "int",
        "savepointTriggerNonce": "int",
        "state": "str",
        "upgradeMode": "str",
    },
    "FlinkManager": {"podTemplate": "V1Pod", "replicas": "int", "resource": "FlinkResource"},
    "FlinkResource": {"cpu": "float", "ephemeralStorage": "str", "memory": "str"},
}
"""Type of each field, by class; types are written as in Kubernetes's Python client."""
