"""The TFJob that is asked of Kubeflow's training operator: some pods that train one model together.

What the pods are like says the environment variable BABELRANK_WORKER_POD, JSON of a `WorkerPod`.
Without it, training stays in one process. The operator, version 1 (kubeflow.org/v1), gives each pod
its TF_CONFIG; version 2 of it, Kubeflow Trainer, has nothing for TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelrank.components.config import from_dict, option
from babelrank.components.errors import ConfigError, DeviceError
from babelrank.components.training.config import TrainingConfig

VARIABLE = "BABELRANK_WORKER_POD"
FINGERPRINT = "babelrank/fingerprint"
"""Annotation: two TFJobs with the same one do the same."""
FOLDER = "babelrank/folder"
"""Label: which trainings may not go on beside each other."""
CONTAINER, PORT = "tensorflow", 2222
"""What the operator calls the container that trains, and its port."""
JOB_LABEL = "training.kubeflow.org/job-name"
_MODULE = "babelrank.components.training.worker"
_LONGEST = 45  # the pods' names, of at most 63 characters, have -worker-123 at the end
_MESH = "sidecar.istio.io/inject"
_KEPT = 3600  # seconds in which a job that nobody follows any more can be looked at
_GRACE = 120  # seconds for a checkpoint, after SIGTERM
_POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(frozen=True, kw_only=True)
class WorkerPod:
    """What the pods of a TFJob are like."""

    labels: dict[str, str] = option({}, "Labels of the pods.")
    annotations: dict[str, str] = option({}, "Annotations of the pods.")
    spec: dict[str, Any] = option({}, "A Kubernetes PodSpec with one container.")
    restarts: int = option(
        2, "How often the pods are started again, without a new checkpoint, before it is a failure."
    )
    timeout: int | None = option(None, "Seconds after which the training is ended; null: none.")


def check(training: TrainingConfig) -> None:
    """Sees whether the workers that a training asks for can be had from here.

    Raises:
        ConfigError: The environment variable holds something else than a pod.
        DeviceError: They cannot.
    """
    if training.workers > 1:
        worker_pod(training.workers)


def worker_pod(workers: int) -> WorkerPod:
    """The pod that the environment variable describes.

    Raises:
        ConfigError: It holds something else.
        DeviceError: It is not set.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        raise DeviceError(
            f"training.workers: got {workers}; several workers take a cluster with Kubeflow's "
            f"training operator: run the pipeline there (`babelrank compile`, `babelrank submit`). "
            f"Here, take workers: 1."
        )
    try:
        pod = from_dict(WorkerPod, json.loads(text))
        (container,) = pod.spec["containers"]
        if not container["image"]:
            raise ValueError("no image")
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{VARIABLE}: got {text[:200]}; takes JSON with `spec`, a PodSpec with one container "
            f"that has an image ({type(error).__name__}: {error})."
        ) from error
    return pod


def name(pipeline: str, training: str) -> str:
    """The name of a training's TFJob: the same training finds it again.

    Args:
        pipeline: Name of the pipeline.
        training: What only this training is called; short, of letters and digits.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", pipeline.lower()).strip("-")
    slug = slug if slug[:1].isalpha() else f"babelrank-{slug}"
    return f"{slug[: _LONGEST - len(training) - 1].strip('-')}-{training}"


def replicas(workers: int, parameter_servers: int) -> dict[str, int]:
    """How many pods of which kind; with parameter servers there is a chief beside the workers."""
    if parameter_servers:
        return {"Chief": 1, "Worker": workers, "PS": parameter_servers}
    return {"Worker": workers}


def folder_label(folder: str) -> str:
    """The value of the label `FOLDER`, for a folder of trainings."""
    return hashlib.sha256(folder.encode()).hexdigest()[:32]


def manifest(
    name: str,
    pipeline: str,
    counts: Mapping[str, int],
    pod: WorkerPod,
    job: Path,
    folder: str,
    owners: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """The TFJob.

    Args:
        name: Its name.
        pipeline: Name of the pipeline, for people who look for it.
        counts: Pods by kind.
        pod: What they are like.
        job: File that each reads; see `worker.write_job`. It is there.
        folder: Of the trainings of the pipeline: of one at a time.
        owners: References to the pods without which the job is not wanted any more.
    """
    labels = {
        "app.kubernetes.io/name": "babelrank",
        "app.kubernetes.io/component": "training",
        "app.kubernetes.io/managed-by": "babelrank",
        "babelrank/pipeline": re.sub(r"[^\w.-]", "-", pipeline, flags=re.ASCII)[:63].strip("-_."),
    }
    template = _template(pod, {**labels, **pod.labels}, job)
    labels[FOLDER] = folder_label(folder)
    # No backoffLimit: with ExitCode the operator either never counts up to it or, if it is 0,
    # deletes the pods before anybody has read why they failed. The follower counts.
    policy: dict[str, Any] = {"cleanPodPolicy": "Running", "ttlSecondsAfterFinished": _KEPT}
    if pod.timeout is not None:
        policy["activeDeadlineSeconds"] = pod.timeout
    spec = {
        "runPolicy": policy,
        "tfReplicaSpecs": {
            kind: {"replicas": count, "restartPolicy": "ExitCode", "template": template}
            for kind, count in counts.items()
        },
    }
    metadata: dict[str, Any] = {
        "name": name,
        "labels": labels,
        "annotations": {FINGERPRINT: _hash(spec, job)},
    }
    if owners:
        metadata["ownerReferences"] = [dict(owner) for owner in owners]
    return {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": metadata, "spec": spec}


def _template(pod: WorkerPod, labels: Mapping[str, str], job: Path) -> dict[str, Any]:
    (given,) = pod.spec["containers"]
    container = {
        "securityContext": _CONTAINER_SECURITY,
        **given,
        "name": CONTAINER,
        "command": ["python", "-m", _MODULE, str(job)],
        "env": [*given.get("env", ()), {"name": "PYTHONUNBUFFERED", "value": "1"}],
        "ports": [{"name": "tfjob-port", "containerPort": PORT, "protocol": "TCP"}],
    }
    return {
        # A proxy beside it would not end with the training, and does not know TensorFlow's gRPC.
        "metadata": {
            "labels": {**labels, _MESH: "false"},
            "annotations": {**pod.annotations, _MESH: "false"},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": _POD_SECURITY,
            "terminationGracePeriodSeconds": _GRACE,
            **pod.spec,
            "containers": [container],
        },
    }


def _hash(spec: Mapping[str, Any], job: Path) -> str:
    text = json.dumps([spec, job.read_text(encoding="utf-8")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
