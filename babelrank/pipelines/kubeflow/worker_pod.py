"""The pods that train together, from the configuration of the step `Worker`."""

from __future__ import annotations

from typing import Any

from babelrank.components.errors import ConfigError
from babelrank.components.training.tf_job import VARIABLE
from babelrank.pipelines.kubeflow.config import KubernetesConfig, StepConfig, TolerationConfig
from babelrank.pipelines.kubeflow.quoting import quoted

STEP = "Worker"
"""Name of the pods in `kubernetes.steps`."""


def environment(config: KubernetesConfig) -> dict[str, str]:
    """The environment variable by which Trainer learns what its workers are like.

    Raises:
        ConfigError: They would share no files.
    """
    return {VARIABLE: quoted(worker_pod(config))}


def worker_pod(config: KubernetesConfig) -> dict[str, Any]:
    """A `tf_job.WorkerPod` as plain data.

    Raises:
        ConfigError: They would share no files.
    """
    if config.volume is None:
        raise ConfigError(
            "kubernetes.volume: got null; several workers (training.workers) need a volume claim "
            "that all of them can mount, with ReadWriteMany where they run on several machines."
        )
    step = config.step(STEP)
    mounts = [(config.volume, config.root), *sorted(step.volumes.items())]
    secrets = sorted(step.secret_volumes.items())
    names = [f"volume-{i}" for i in range(len(mounts) + len(secrets))]
    sources = [
        *({"persistentVolumeClaim": {"claimName": claim}} for claim, _ in mounts),
        *({"secret": {"secretName": secret}} for secret, _ in secrets),
    ]
    folders = [folder for _, folder in (*mounts, *secrets)]
    container = {
        "image": step.image or config.image,
        "imagePullPolicy": config.image_pull_policy,
        "env": _variables(step),
        "resources": _resources(step),
        "volumeMounts": [
            {"name": name, "mountPath": folder} for name, folder in zip(names, folders, strict=True)
        ],
    }
    spec: dict[str, Any] = {
        "containers": [container],
        "volumes": [{"name": name, **source} for name, source in zip(names, sources, strict=True)],
    }
    if config.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in config.image_pull_secrets]
    if step.node_selector:
        spec["nodeSelector"] = step.node_selector
    if step.tolerations:
        spec["tolerations"] = [_toleration(one) for one in step.tolerations]
    if config.service_account is not None:  # without its token: for a bucket's driver
        spec["serviceAccountName"] = config.service_account
    return {
        "annotations": step.annotations,
        "spec": spec,
        "restarts": step.retries or 0,
        "timeout": step.timeout,
    }


def _variables(step: StepConfig) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in sorted(step.env.items())
    ]
    secret = []
    for name, where in sorted(step.secret_env.items()):
        of, _, key = where.partition("/")
        secret.append({"name": name, "valueFrom": {"secretKeyRef": {"name": of, "key": key}}})
    return plain + secret


def _resources(step: StepConfig) -> dict[str, dict[str, str]]:
    requests = {"cpu": step.cpu, "memory": step.memory}
    limits = {"cpu": step.cpu_limit, "memory": step.memory_limit or step.memory}
    if step.accelerator:
        limits[step.accelerator] = str(step.accelerators or 1)
    return {
        "requests": {name: value for name, value in requests.items() if value},
        "limits": {name: value for name, value in limits.items() if value},
    }


def _toleration(one: TolerationConfig) -> dict[str, Any]:
    given = {
        "key": one.key,
        "operator": one.operator,
        "value": one.value,
        "effect": one.effect,
        "tolerationSeconds": one.seconds,
    }
    return {name: value for name, value in given.items() if value is not None}
