"""Reads a compiled pipeline as the API server of Kubeflow Pipelines does.

The first YAML document is a PipelineSpec of schema 2.1.0; the second, if there is one, holds what
Kubernetes gets beyond it (`platforms`). Both are parsed strictly. What the backend would refuse is
refused, and so is every field that this backend does nothing about: nothing is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as spec

SCHEMA = "2.1.0"
EXIT = spec.PipelineTaskSpec.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED
PULL_POLICIES = ("", "Always", "IfNotPresent", "Never")

# Fields of each message that this backend does something about, or need do nothing about because
# they only concern people (descriptions) or machines (resources, node selectors).
KNOWN: dict[str, tuple[str, ...]] = {
    "PipelineSpec": (
        *("pipeline_info", "deployment_spec", "sdk_version", "schema_version"),
        *("components", "root"),
    ),
    "PipelineInfo": ("name", "display_name", "description"),
    "ComponentSpec": ("input_definitions", "output_definitions", "dag", "executor_label"),
    "ComponentInputsSpec": ("parameters",),
    "ParameterSpec": ("parameter_type", "default_value", "is_optional", "description"),
    "ComponentOutputsSpec": ("artifacts", "parameters"),
    "ArtifactSpec": ("artifact_type", "description"),
    "ArtifactTypeSchema": ("schema_title", "schema_version"),
    "DagSpec": ("tasks",),
    "PipelineTaskSpec": (
        *("task_info", "inputs", "dependent_tasks", "caching_options", "component_ref"),
        *("trigger_policy", "retry_policy"),
    ),
    "PipelineTaskInfo": ("name",),
    "TaskInputsSpec": ("parameters",),
    "InputParameterSpec": ("task_output_parameter", "runtime_value", "component_input_parameter"),
    "TaskOutputParameterSpec": ("producer_task", "output_parameter_key"),
    "ValueOrRuntimeParameter": ("constant",),
    "CachingOptions": (),  # enable_cache would make the backend skip tasks
    "ComponentRef": ("name",),
    "TriggerPolicy": ("strategy",),
    "RetryPolicy": (
        *("max_retry_count", "backoff_duration", "backoff_factor", "backoff_max_duration"),
    ),
    "PipelineDeploymentConfig": ("executors",),
    "ExecutorSpec": ("container",),
    "PipelineContainerSpec": ("image", "command", "args", "resources", "env"),
    "ResourceSpec": (
        *("cpu_limit", "memory_limit", "cpu_request", "memory_request", "accelerator"),
        *("resource_cpu_limit", "resource_memory_limit"),
        *("resource_cpu_request", "resource_memory_request"),
    ),
    "AcceleratorConfig": ("type", "count", "resource_type", "resource_count"),
    "EnvVar": ("name", "value"),
    "KubernetesExecutorConfig": (
        *("secret_as_env", "pvc_mount", "field_path_as_env", "active_deadline_seconds"),
        *("image_pull_policy", "image_pull_secret", "node_selector", "tolerations"),
    ),
    "SecretAsEnv": ("secret_name", "key_to_env", "secret_name_parameter"),
    "SecretKeyToEnvMap": ("secret_key", "env_var"),
    "PvcMount": ("constant", "mount_path", "pvc_name_parameter"),
    "FieldPathAsEnv": ("name", "field_path"),
    "ImagePullSecret": ("secret_name", "secret_name_parameter"),
    "NodeSelector": ("labels",),
    "Toleration": ("key", "operator", "value", "effect", "toleration_seconds"),
}
# kfp-kubernetes for Python 3.11 has no such message, and no secretAsEnv.optional; true or false.
SECURITY_CONTEXT = ("runAsNonRoot",)


class SpecError(ValueError):
    """The backend would refuse the pipeline, or this one does not know what to do with it."""


@dataclass(frozen=True)
class PodConfig:
    """What Kubernetes gets for one executor.

    Attributes:
        config: The parsed message.
        optional: Secrets without which the pod starts all the same.
    """

    config: Any
    optional: frozenset[str] = frozenset()


NOTHING = PodConfig(kubernetes.KubernetesExecutorConfig())


@dataclass(frozen=True)
class Pipeline:
    """A compiled pipeline.

    Attributes:
        spec: The first document.
        containers: What each executor runs, by its label.
        kubernetes: What Kubernetes gets beyond it, by label.
    """

    spec: Any
    containers: Mapping[str, Any]
    kubernetes: Mapping[str, PodConfig]


def read(path: Path) -> Pipeline:
    """Reads a compiled pipeline.

    Raises:
        SpecError: It would be refused.
    """
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    if len(documents) not in (1, 2):
        raise SpecError(f"{path}: {len(documents)} YAML documents; takes 1 or 2.")
    pipeline = _parse(documents[0], spec.PipelineSpec())
    deployment = json_format.MessageToDict(pipeline.deployment_spec)
    executors = _parse(deployment, spec.PipelineDeploymentConfig()).executors
    made = Pipeline(
        pipeline,
        {label: executor.container for label, executor in executors.items()},
        dict(_kubernetes(documents[1])) if len(documents) == 2 else {},
    )
    _check(made)
    return made


def _kubernetes(document: Any) -> Iterator[tuple[str, PodConfig]]:
    """The second document's configuration of each executor."""
    inside = document
    for key in ("platforms", "kubernetes", "deploymentSpec", "executors"):
        if not isinstance(inside, dict) or list(inside) != [key]:
            raise SpecError(f"second document: takes {key} and nothing else; got {inside}.")
        inside = inside[key]
    for label, given in inside.items():
        config = dict(given)
        for key, value in config.pop("securityContext", {}).items():
            if key not in SECURITY_CONTEXT or not isinstance(value, bool):
                raise SpecError(f"{label}.securityContext: {key}: {value} is not known here.")
        secrets = config.get("secretAsEnv", [])
        optional = {secret["secretName"] for secret in secrets if secret.get("optional", False)}
        config["secretAsEnv"] = [
            {key: value for key, value in secret.items() if key != "optional"} for secret in secrets
        ]
        parsed = _parse(config, kubernetes.KubernetesExecutorConfig())
        yield label, PodConfig(parsed, frozenset(optional))


def _parse(document: Any, message: Any) -> Any:
    try:
        json_format.ParseDict(document, message)
    except json_format.ParseError as error:
        raise SpecError(f"{message.DESCRIPTOR.name}: {error}") from error
    _refuse_unknown(message)
    return message


def _refuse_unknown(message: Any) -> None:
    """Raises SpecError for a field that is set and about which this backend does nothing."""
    name = message.DESCRIPTOR.name
    if message.DESCRIPTOR.file.package == "google.protobuf":
        return
    for field, value in message.ListFields():
        if field.name not in KNOWN.get(name, ()):
            raise SpecError(f"{name}.{field.name}: not known here; got {value}.")
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            value = value.values() if field.message_type.fields[1].message_type else ()
        elif not hasattr(value, "add"):
            value = (value,)
        for inner in value:
            _refuse_unknown(inner)


def _check(pipeline: Pipeline) -> None:
    """Raises SpecError for what is missing, misnamed or points to nothing."""
    parsed = pipeline.spec
    if parsed.schema_version != SCHEMA:
        raise SpecError(f"schemaVersion: got {parsed.schema_version!r}; takes {SCHEMA}.")
    if not parsed.sdk_version:
        raise SpecError("sdkVersion: missing.")
    _check_name(parsed.pipeline_info.name, "pipelineInfo.name", r"[a-z][-a-z0-9]{0,127}")
    for label, container in pipeline.containers.items():
        if not container.image or not (container.command or container.args):
            raise SpecError(f"{label}: a container without image or command.")
    for label in pipeline.kubernetes:
        if label not in pipeline.containers:
            raise SpecError(f"second document: {label} is no executor.")
        if pipeline.kubernetes[label].config.image_pull_policy not in PULL_POLICIES:
            raise SpecError(f"{label}: imagePullPolicy is none of {PULL_POLICIES}.")
    for name, component in {"root": parsed.root, **parsed.components}.items():
        _check_component(pipeline, name, component)


def _check_component(pipeline: Pipeline, name: str, component: Any) -> None:
    _check_name(name, "component", r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}")
    if component.WhichOneof("implementation") == "executor_label":
        if component.executor_label not in pipeline.containers:
            raise SpecError(f"{name}: there is no executor {component.executor_label}.")
        return
    if not component.dag.tasks:
        raise SpecError(f"{name}: neither an executor nor tasks.")
    given = component.input_definitions.parameters
    for key, task in component.dag.tasks.items():
        _check_name(key, f"task of {name}", r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}")
        _check_task(pipeline, f"{name}.{key}", task, given, component.dag.tasks)


def _check_task(pipeline: Pipeline, where: str, task: Any, given: Any, beside: Any) -> None:
    if not task.task_info.name:
        raise SpecError(f"{where}: taskInfo.name is missing.")
    if task.component_ref.name not in pipeline.spec.components:
        raise SpecError(f"{where}: there is no component {task.component_ref.name!r}.")
    takes = pipeline.spec.components[task.component_ref.name].input_definitions.parameters
    for name, source in task.inputs.parameters.items():
        if name not in takes:
            raise SpecError(f"{where}: its component has no input {name}.")
        if source.component_input_parameter and source.component_input_parameter not in given:
            raise SpecError(f"{where}.{name}: no input {source.component_input_parameter} outside.")
    for name, parameter in takes.items():
        if name not in task.inputs.parameters and not parameter.is_optional:
            raise SpecError(f"{where}: no value for {name}.")
    for upstream in needs(task):
        if upstream not in beside:
            raise SpecError(f"{where}: there is no task {upstream} to wait for.")


def needs(task: Any) -> set[str]:
    """Tasks of the same graph that come before a task."""
    sources = task.inputs.parameters.values()
    producers = {source.task_output_parameter.producer_task for source in sources}
    return {*task.dependent_tasks, *producers} - {""}


def _check_name(name: str, where: str, pattern: str) -> None:
    if not re.fullmatch(pattern, name):
        raise SpecError(f"{where}: got {name!r}; Argo takes {pattern}.")
