"""Configuration of what a model goes through once the gate passed it: serving check and push."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from babelrank.components.config import option
from babelrank.components.errors import ConfigError
from babelrank.components.serving import tf_serving


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """What a model must show before it is pushed: that it can be served."""

    check: bool = option(
        True, "Whether each model is loaded in a fresh process and asked real requests first."
    )
    requests: int = option(
        64, "Examples of the gate's split that are asked; also the size of the full batch."
    )
    tolerance: float = option(
        1e-4, "A score may differ by so much, relative or absolute, from the trainer's."
    )
    max_p50_ms: float | None = option(
        None, "Median milliseconds of a request for one example, at the most; null: no bound."
    )
    max_p99_ms: float | None = option(None, "The same of the slowest in a hundred requests.")
    max_memory_mib: int | None = option(
        None, "Peak memory of the process that serves, at the most; null: no bound."
    )
    memory_limit_mib: int = option(
        8192, "The process is stopped, and the model refused, above this memory."
    )
    timeout_seconds: int = option(600, "The same when the check takes longer.")
    warmup_requests: int = option(
        16,
        "Requests that TensorFlow Serving replays before it serves a version; 0: none. They are "
        "raw examples of the gate's split and lie in the pushed version, also where "
        "report.raw_rows is false.",
    )
    tf_serving: str | None = option(
        "2.19.1",
        "Version of TensorFlow Serving whose operations the model may use (2.14.0 or newer); "
        "null: not compared.",
    )

    def __post_init__(self) -> None:
        for name in ("requests", "memory_limit_mib", "timeout_seconds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 1 or more.")
        for name in ("max_p50_ms", "max_p99_ms", "max_memory_mib"):
            value = getattr(self, name)
            if value is not None and not value > 0:  # NaN is not either
                raise ConfigError(f"{name}: got {value}; takes more than 0, or null.")
        for name in ("tolerance", "warmup_requests"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 0 or more.")
        if self.tf_serving is not None and not re.fullmatch(r"\d+\.\d+\.\d+", self.tf_serving):
            raise ConfigError(
                f"tf_serving: got {self.tf_serving!r}; takes a version such as 2.19.1, or null."
            )
        if self.tf_serving is not None:
            tf_serving.built_with(self.tf_serving)


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """Where blessed models go."""

    enabled: bool = option(
        True, "Whether blessed models are pushed; false: the gate judges, and nothing is served."
    )
    directory: str | None = option(
        None, "Folder that a model server watches; null: `serving` in the output folder."
    )
