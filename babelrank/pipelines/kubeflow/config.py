"""Configuration of a pipeline on Kubernetes: the image, what each step gets, where things are."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from babelrank.components.config import option, section
from babelrank.components.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TolerationConfig:
    """A taint of nodes that a step's pod tolerates."""

    key: str | None = option(None, "Key of the taint; null: every taint.")
    operator: Literal["Equal", "Exists"] = option("Exists", "Whether the value counts.")
    value: str | None = option(None, "Value of the taint, with operator: Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = option(
        None, "Effect of the taint; null: all."
    )
    seconds: int | None = option(None, "How long NoExecute is tolerated; null: for ever.")

    def __post_init__(self) -> None:
        if self.operator == "Exists" and self.value is not None:
            raise ConfigError("value: takes null with operator: Exists.")
        if self.operator == "Equal" and self.key is None:
            raise ConfigError("key: missing; operator: Equal needs one.")
        if self.seconds is not None and self.effect != "NoExecute":
            raise ConfigError("seconds: takes null, but for effect: NoExecute.")


@dataclass(frozen=True, kw_only=True)
class StepConfig:
    """What the pods of a step get; null: as `defaults` says."""

    cpu: str | None = option(None, "Processors asked for, such as 500m or 4.")
    cpu_limit: str | None = option(None, "Processors at the most; null: no limit.")
    memory: str | None = option(None, "Memory asked for and, without memory_limit, allowed: 8Gi.")
    memory_limit: str | None = option(None, "Memory at the most.")
    accelerator: str | None = option(
        None, "Resource of the accelerators: nvidia.com/gpu or google.com/tpu; empty: none."
    )
    accelerators: int | None = option(None, "How many of them; null: 1, if there is one.")
    image: str | None = option(None, "Another image, such as the one for GPUs.")
    node_selector: dict[str, str] = option({}, "Labels that a machine must have.")
    tolerations: tuple[TolerationConfig, ...] = option((), "Taints that do not matter.")
    annotations: dict[str, str] = option({}, "Annotations of the pods.")
    env: dict[str, str] = option({}, "Environment variables.")
    secret_env: dict[str, str] = option(
        {}, "Environment variables from secrets: `NAME: secret/key`."
    )
    volumes: dict[str, str] = option({}, "Volume claims and the folders where they are mounted.")
    secret_volumes: dict[str, str] = option({}, "Secrets and the folders where they are mounted.")
    timeout: int | None = option(None, "Seconds after which a step is ended; null: none.")
    retries: int | None = option(None, "How often a failed step is tried again.")

    def __post_init__(self) -> None:
        if self.accelerators is not None and self.accelerators < 1:
            raise ConfigError(f"accelerators: got {self.accelerators}; takes 1 or more, or null.")
        if self.timeout is not None and self.timeout < 1:
            raise ConfigError(f"timeout: got {self.timeout}; takes 1 or more, or null.")
        if self.retries is not None and self.retries < 0:
            raise ConfigError(f"retries: got {self.retries}; takes 0 or more, or null.")

    def over(self, defaults: StepConfig) -> StepConfig:
        """This step with what it leaves open taken from the defaults; mappings are united."""
        merged: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(defaults, field.name)
            if isinstance(mine, dict):
                merged[field.name] = {**theirs, **mine}
            elif isinstance(mine, tuple):
                merged[field.name] = (*theirs, *(one for one in mine if one not in theirs))
            else:
                merged[field.name] = theirs if mine is None else mine
        return StepConfig(**merged)


@dataclass(frozen=True, kw_only=True)
class DefaultStepConfig(StepConfig):
    """What every step gets, unless `steps` says otherwise."""

    cpu: str | None = option("1", "Processors asked for, such as 500m or 4.")
    memory: str | None = option("4Gi", "Memory asked for and, without memory_limit, allowed.")
    retries: int | None = option(2, "How often a failed step is tried again.")


@dataclass(frozen=True, kw_only=True)
class KubernetesConfig:
    """How the steps run in a cluster."""

    image: str = option(
        "babelrank:latest", "The image of k8s/Dockerfile, where the cluster can pull it."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = option(
        "IfNotPresent", "When the image is pulled."
    )
    image_pull_secrets: tuple[str, ...] = option((), "Secrets for pulling it.")
    volume: str | None = option(
        "babelrank-artifacts",
        "Volume claim that all steps mount at `root`; null: none, for one machine only.",
    )
    root: str = option(
        "/mnt/babelrank",
        "Folder under which the output folder NAME is, and to which other paths are relative.",
    )
    metadata: str | None = option(
        "postgresql://babelrank@metadata-db:5432/babelrank",
        "ML Metadata's database, without the password (or mysql://…); null: an SQLite file in the "
        "output folder, for one machine only.",
    )
    metadata_secret: str | None = option(
        "metadata-db/password", "Where the password is, as `secret/key`; null: there is none."
    )
    lease: int = option(
        60, "Minutes without a sign of life after which another run may take over the folder."
    )
    service_account: str | None = option(
        None, "Service account of the pods; null: the one that Kubeflow Pipelines takes."
    )
    defaults: DefaultStepConfig = section(DefaultStepConfig, "What every step gets.")
    steps: dict[str, StepConfig] = option(
        {}, "What single steps get beyond it, by name: Ingest, Transform, Trainer, Evaluator, …"
    )

    def __post_init__(self) -> None:
        if not self.root.startswith("/"):
            raise ConfigError(
                f"root: got {self.root}; takes an absolute path: mount a bucket as a folder (with "
                f"the CSI driver of Cloud Storage FUSE, for example)."
            )
        if self.lease < 1:
            raise ConfigError(f"lease: got {self.lease}; takes 1 or more.")

    def step(self, name: str) -> StepConfig:
        """What a step gets, everything taken together."""
        return self.steps.get(name, StepConfig()).over(self.defaults)
