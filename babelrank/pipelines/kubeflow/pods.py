"""What the pod of a step gets: resources, machines, environment, secrets, volumes, retries."""

from __future__ import annotations

from typing import Any

from kfp import kubernetes as kfp_kubernetes

from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.database import PASSWORD, VARIABLE
from babelrank.pipelines.kubeflow import worker_pod
from babelrank.pipelines.kubeflow.config import KubernetesConfig, StepConfig

_RETRY_AFTER = "30s"
_FOR_EVER = "31536000s"  # a year
_TRAINER = "Trainer"
POD = {"BABELRANK_POD": "metadata.name", "BABELRANK_POD_UID": "metadata.uid"}
"""What a step can know of its own pod, by the variable that tells it."""


def give(task: Any, config: PipelineConfig, name: str) -> Any:
    """Gives a task of kfp's SDK what the configuration says of a step."""
    kubernetes = config.kubernetes
    step = kubernetes.step(name)
    _resources(task, step)
    _environment(task, kubernetes, step)
    if name == _TRAINER and config.training.workers > 1:
        for variable, value in worker_pod.environment(kubernetes).items():
            task.set_env_variable(variable, value)
    _volumes(task, kubernetes, step)
    _placement(task, step)
    kfp_kubernetes.set_image_pull_policy(task, kubernetes.image_pull_policy)
    if kubernetes.image_pull_secrets:
        kfp_kubernetes.set_image_pull_secrets(task, list(kubernetes.image_pull_secrets))
    if step.timeout is not None:
        kfp_kubernetes.set_timeout(task, step.timeout)
    if step.retries:
        task.set_retry(step.retries, backoff_duration=_RETRY_AFTER, backoff_factor=2.0)
    return task


def _resources(task: Any, step: StepConfig) -> None:
    if step.cpu:
        task.set_cpu_request(step.cpu)
    if step.cpu_limit:
        task.set_cpu_limit(step.cpu_limit)
    if step.memory:
        task.set_memory_request(step.memory)
        task.set_memory_limit(step.memory_limit or step.memory)
    elif step.memory_limit:
        task.set_memory_limit(step.memory_limit)
    if step.accelerator:
        task.set_accelerator_type(step.accelerator)
        task.set_accelerator_limit(step.accelerators or 1)


def _environment(task: Any, config: KubernetesConfig, step: StepConfig) -> None:
    secrets = dict(step.secret_env)
    if config.metadata is not None:
        task.set_env_variable(VARIABLE, config.metadata)
        if config.metadata_secret is not None:
            secrets[PASSWORD] = config.metadata_secret
    for name, value in sorted(step.env.items()):
        task.set_env_variable(name, value)
    for name, where in sorted(secrets.items()):
        secret, _, key = where.partition("/")
        kfp_kubernetes.use_secret_as_env(task, secret, {key: name})
    for name, field in POD.items():
        kfp_kubernetes.use_field_path_as_env(task, name, field)


def _volumes(task: Any, config: KubernetesConfig, step: StepConfig) -> None:
    if config.volume is not None:
        kfp_kubernetes.mount_pvc(task, config.volume, config.root)
    for claim, folder in sorted(step.volumes.items()):
        kfp_kubernetes.mount_pvc(task, claim, folder)
    for secret, folder in sorted(step.secret_volumes.items()):
        kfp_kubernetes.use_secret_as_volume(task, secret, folder)


def _placement(task: Any, step: StepConfig) -> None:
    for label, value in sorted(step.node_selector.items()):
        kfp_kubernetes.add_node_selector(task, label, value)
    for key, value in sorted(step.annotations.items()):
        kfp_kubernetes.add_pod_annotation(task, key, value)
    for one in step.tolerations:
        kfp_kubernetes.add_toleration(
            task, one.key, one.operator, one.value, one.effect, one.seconds
        )


def complete(platform: dict[str, Any], spec: dict[str, Any], config: KubernetesConfig) -> Any:
    """Completes what the SDK wrote, and makes it the same, whichever SDK it was.

    Args:
        platform: The second document that kfp's compiler wrote.
        spec: The first one.
        config: The configuration.
    """
    for component in spec["components"].values():
        for task in component.get("dag", {}).get("tasks", {}).values():
            if "retryPolicy" in task:
                # Argo counts it from the beginning of the first try, and kfp takes an hour at the
                # most: a training that fails later than that would not be tried again.
                task["retryPolicy"]["backoffMaxDuration"] = _FOR_EVER
    executors = (
        platform.setdefault("platforms", {})
        .setdefault("kubernetes", {})
        .setdefault("deploymentSpec", {})
        .setdefault("executors", {})
    )
    for name in spec["deploymentSpec"]["executors"]:
        given = executors.setdefault(name, {})
        # Backends from 2.16 on drop all rights and forbid new ones by themselves.
        given["securityContext"] = {"runAsNonRoot": True}
        for secret in (*given.get("secretAsEnv", ()), *given.get("secretAsVolume", ())):
            if not secret.get("optional"):  # only the newer SDK writes what goes without saying
                secret.pop("optional", None)
    return platform
