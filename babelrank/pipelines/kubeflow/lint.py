"""What Kubeflow or Kubernetes would refuse, is refused before it is submitted, with the remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from babelrank.components.errors import ConfigError
from babelrank.components.training.tf_job import VARIABLE as WORKERS
from babelrank.pipelines import database
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.database import PASSWORD, VARIABLE
from babelrank.pipelines.kubeflow.config import KubernetesConfig, StepConfig
from babelrank.pipelines.kubeflow.names import pipeline_name, step_name
from babelrank.pipelines.kubeflow.pods import POD
from babelrank.pipelines.kubeflow.worker_pod import STEP as WORKER

_QUANTITY = re.compile(r"(\d+(\.\d+)?)(m|k|[KMGTPE]i|[MGTPE])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_VOLUME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""Kubeflow names a pod's volume after its claim or secret, and that name has no dots."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL_KEY = re.compile(
    r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", re.ASCII
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_IMAGE = re.compile(
    r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*(:[A-Za-z0-9_][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
_LARGEST = 1_000_000
"""etcd refuses objects above 1.5 MB; Argo's workflow holds the pipeline and more."""
_LONGEST = 120_000
"""Linux takes 128 KiB for one argument."""
_RESERVED = (VARIABLE, PASSWORD, *POD, WORKERS)
"""Environment variables that the compiler sets."""


def check(config: PipelineConfig, steps: Sequence[str]) -> None:
    """Checks a configuration.

    Args:
        config: The configuration.
        steps: Names of the tasks that there will be.

    Raises:
        ConfigError: Something would be refused.
    """
    pipeline_name(config.name)
    kubernetes = config.kubernetes
    _check_names(steps)
    pods = [*steps, *([WORKER] if config.training.workers > 1 else [])]
    for name in kubernetes.steps:
        if name not in pods:
            raise ConfigError(
                f"kubernetes.steps.{name}: there is no such step; takes {', '.join(pods)}."
            )
    _check_image("kubernetes.image", kubernetes.image)
    _check_shared(kubernetes)
    for key, step in (("defaults", kubernetes.defaults), *_steps(config)):
        _check_step(f"kubernetes.{key}", step)
    for name in pods:
        step = kubernetes.step(name)
        _check_folders(
            f"kubernetes.steps.{name}",
            [
                *([kubernetes.root] if kubernetes.volume else []),
                *step.volumes.values(),
                *step.secret_volumes.values(),
            ],
        )
        shared = {kubernetes.volume} & {*step.volumes, *step.secret_volumes}
        both = set(step.env) & set(step.secret_env) or set(step.volumes) & set(step.secret_volumes)
        if both or shared:
            raise ConfigError(
                f"kubernetes.steps.{name}: {', '.join(sorted(map(str, both or shared)))}: stands "
                f"twice; takes each variable and volume (kubernetes.volume too) once."
            )
        _check_limits(f"kubernetes.steps.{name}", step)


def check_spec(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> None:
    """Checks what was compiled.

    Raises:
        ConfigError: It is too large, or Argo would take a part of it for a template of its own.
    """
    size = len(json.dumps([spec, platform]))
    if size > _LARGEST:
        raise ConfigError(
            f"the compiled pipeline has {size:,} characters; Kubernetes takes {_LARGEST:,}. "
            f"Shorten the configuration."
        )
    for name, executor in spec["deploymentSpec"]["executors"].items():
        container = executor["container"]
        variables = [one["value"] for one in container.get("env", ())]
        for part in (*container["command"], *container["args"], *variables):
            if "{{" in part and not re.fullmatch(r"\{\{\$[^{}]*\}\}", part):
                raise ConfigError(
                    f"{name}: Argo would replace {{{{…}}}} in {part[:200]!r}. Take it out of the "
                    f"configuration."
                )
            if len(part.encode()) > _LONGEST:
                raise ConfigError(
                    f"{name}: got an argument of {len(part):,} characters; takes {_LONGEST:,}. "
                    f"Shorten the configuration."
                )


def _steps(config: PipelineConfig) -> list[tuple[str, StepConfig]]:
    return [(f"steps.{name}", step) for name, step in config.kubernetes.steps.items()]


def _check_names(nodes: Sequence[str]) -> None:
    names = [step_name(node) for node in nodes]
    for node, name in zip(nodes, names, strict=True):
        if names.count(name) > 1 or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            raise ConfigError(f"the node {node} would be called {name}, which Argo does not take.")


def _check_step(key: str, step: StepConfig) -> None:
    for name in ("cpu", "cpu_limit", "memory", "memory_limit"):
        value = getattr(step, name)
        if value is not None and not _QUANTITY.fullmatch(value):
            raise ConfigError(
                f"{key}.{name}: got {value!r}; takes a quantity such as 500m or 4 (processors), "
                f"8Gi or 500Mi (memory)."
            )
        if value is not None and name.startswith("memory") and value.endswith("m"):
            raise ConfigError(f"{key}.{name}: got {value}: thousandths of a byte; takes 8Gi.")
    if step.accelerator and not (
        "/" in step.accelerator and _LABEL_KEY.fullmatch(step.accelerator)
    ):
        raise ConfigError(
            f"{key}.accelerator: got {step.accelerator}; takes the name of a resource, such as "
            f"nvidia.com/gpu or google.com/tpu."
        )
    if step.image is not None:
        _check_image(f"{key}.image", step.image)
    for label, value in step.node_selector.items():
        if not _LABEL_KEY.fullmatch(label) or not _LABEL_VALUE.fullmatch(value):
            raise ConfigError(f"{key}.node_selector: {label}: {value} is no label of Kubernetes.")
    for variable in (*step.env, *step.secret_env):
        if not _VARIABLE.fullmatch(variable):
            raise ConfigError(f"{key}: {variable} is no name of an environment variable.")
        if variable in _RESERVED:
            raise ConfigError(
                f"{key}: sets {variable}, which BabelRank sets (see kubernetes.metadata and "
                f"metadata_secret)."
            )
    for variable, where in step.secret_env.items():
        _check_secret(f"{key}.secret_env.{variable}", where)
    for name in step.annotations:
        if not _LABEL_KEY.fullmatch(name):
            raise ConfigError(f"{key}.annotations: {name} is no name of an annotation.")
    for one in step.tolerations:
        if not _LABEL_KEY.fullmatch(one.key or "a") or not _LABEL_VALUE.fullmatch(one.value or ""):
            raise ConfigError(f"{key}.tolerations: {one.key}: {one.value} is no taint.")
    for names, what in ((step.volumes, "volumes"), (step.secret_volumes, "secret_volumes")):
        for name, folder in names.items():
            if not _VOLUME.fullmatch(name):
                raise ConfigError(f"{key}.{what}: {_no_volume(name)}")
            if not folder.startswith("/") or ":" in folder or not folder.strip("/"):
                raise ConfigError(
                    f"{key}.{what}.{name}: got {folder}; takes an absolute path that is not / and "
                    f"has no colon."
                )


def _no_volume(name: str) -> str:
    return (
        f"{name!r}: Kubeflow makes it the name of a volume in the pod, which takes a-z, 0-9 and -, "
        f"63 characters at the most."
    )


def _check_image(key: str, image: str) -> None:
    if not _IMAGE.fullmatch(image):
        raise ConfigError(f"{key}: got {image!r}; takes an image, such as registry/name:tag.")


def _check_secret(key: str, where: str) -> None:
    secret, slash, name = where.partition("/")
    if not (slash and _NAME.fullmatch(secret) and re.fullmatch(r"[\w.-]+", name, re.ASCII)):
        raise ConfigError(f"{key}: got {where!r}; takes secret/key.")


def _check_folders(key: str, folders: Iterable[str]) -> None:
    """No two volumes in one place."""
    seen: set[str] = set()
    for folder in folders:
        if folder.rstrip("/") in seen:
            raise ConfigError(f"{key}: two volumes are mounted at {folder}.")
        seen.add(folder.rstrip("/"))


def _check_limits(key: str, step: StepConfig) -> None:
    for name in ("cpu", "memory"):
        asked, limit = getattr(step, name), getattr(step, f"{name}_limit")
        if asked and limit and _number(asked) > _number(limit):
            raise ConfigError(f"{key}: asks for {name} {asked}, more than its limit, {limit}.")


def _number(quantity: str) -> float:
    match = _QUANTITY.fullmatch(quantity)
    assert match is not None  # _check_step has seen to it
    factors = {"": 1.0, "m": 1e-3, "k": 1e3}
    factors |= {unit: 1000.0 ** (i + 2) for i, unit in enumerate("MGTPE")}
    factors |= {f"{unit}i": 1024.0 ** (i + 1) for i, unit in enumerate("KMGTPE")}
    return float(match[1]) * factors[match[3] or ""]


def _check_shared(kubernetes: KubernetesConfig) -> None:
    """What all steps share."""
    if kubernetes.volume is not None and not _VOLUME.fullmatch(kubernetes.volume):
        raise ConfigError(f"kubernetes.volume: {_no_volume(kubernetes.volume)}")
    names = {
        "service_account": kubernetes.service_account,
        **{f"image_pull_secrets[{i}]": one for i, one in enumerate(kubernetes.image_pull_secrets)},
    }
    for key, name in names.items():
        if name is not None and not _NAME.fullmatch(name):
            raise ConfigError(f"kubernetes.{key}: {name!r} is no name in Kubernetes.")
    if ":" in kubernetes.root or not kubernetes.root.strip("/"):
        raise ConfigError(
            f"kubernetes.root: got {kubernetes.root}; takes a path that is not / and has no colon."
        )
    if kubernetes.metadata is None:
        return
    database.of_address(kubernetes.metadata, None)
    if urlsplit(kubernetes.metadata).password is not None:
        raise ConfigError(
            "kubernetes.metadata: has a password, which everybody could read in the compiled "
            "pipeline; put it into a secret, and name that in kubernetes.metadata_secret."
        )
    if kubernetes.metadata_secret is not None:
        _check_secret("kubernetes.metadata_secret", kubernetes.metadata_secret)
