"""The Model Garden's `RuntimeConfig` and `DifferentialPrivacyConfig`, by name and field.

Both are read by their fields, so that the Model Garden's own objects do as well, and ours work
without the Model Garden. What they ask for and we cannot do is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from babelrank.components.config import option
from babelrank.components.errors import ConfigError

_DTYPES = (None, "float32", "bfloat16", "float16")
_STRATEGIES = {
    "off": "one_device",
    "one_device": "one_device",
    "mirrored": "mirrored",
    "multi_worker_mirrored": "multi_worker_mirrored",
    "parameter_server": "parameter_server",
    "tpu": "tpu",
}
"""Our names for those of the Model Garden."""


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """How a model is run.

    `Task.create_optimizer` reads the first two; `training_values` makes keys of `training:` of all
    but the scale.
    """

    mixed_precision_dtype: str | None = option(
        None, "float32, bfloat16 or float16, which scales the loss; null: float32."
    )
    loss_scale: Any = option(
        None, "Scale of the loss with float16: a number, or dynamic (null: dynamic)."
    )
    enable_xla: bool = option(False, "Compile the training step with XLA.")
    num_gpus: int = option(0, "GPUs to use; -1: all.")
    distribution_strategy: str = option("mirrored", "Where steps run; off: one device.")
    tpu: str | None = option(None, "Name or address of the TPU; null: as the environment has it.")

    def __post_init__(self) -> None:
        loss_scale(self)
        training_values(self)


@dataclass(frozen=True, kw_only=True)
class DifferentialPrivacyConfig:
    """Differentially private training; the defaults are the Model Garden's, and refused."""

    clipping_norm: float = option(1e8, "The gradient of each example is clipped to this norm.")
    noise_multiplier: float = option(
        0.0, "Standard deviation of the noise, in multiples of clipping_norm."
    )


def loss_scale(runtime: Any) -> float | str | None:
    """How a runtime configuration scales the loss: "dynamic", by a number, or not (None).

    Args:
        runtime: None, or an object with `mixed_precision_dtype` and perhaps `loss_scale`.

    Raises:
        ConfigError: A type or a scale that there is not, or a model spread over devices.
    """
    dtype = getattr(runtime, "mixed_precision_dtype", None)
    if dtype not in _DTYPES:
        names = ", ".join(str(name) for name in _DTYPES[1:])
        raise ConfigError(f"mixed_precision_dtype: got {dtype!r}; takes one of {names}, or null.")
    cores = getattr(runtime, "num_cores_per_replica", 1)
    if cores != 1 or getattr(runtime, "use_tpu_mp_strategy", False):
        raise ConfigError(
            f"num_cores_per_replica, use_tpu_mp_strategy: got {cores} and "
            f"{getattr(runtime, 'use_tpu_mp_strategy', False)}; a model is not spread over "
            f"devices; takes 1 and false."
        )
    scale = getattr(runtime, "loss_scale", None)
    if scale in (None, "dynamic"):
        return "dynamic" if dtype == "float16" else None
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not scale > 0:
        raise ConfigError(f"loss_scale: got {scale!r}; takes a number above 0, 'dynamic', or null.")
    return float(scale) if dtype == "float16" else None


def training_values(runtime: Any) -> dict[str, Any]:
    """The keys of `training:` that say the same as a runtime configuration.

    Args:
        runtime: An object with the fields of `RuntimeConfig`.

    Returns:
        Values of `precision`, `xla` and `strategy`, as `config.from_dict` takes them.

    Raises:
        ConfigError: A strategy that we do not have, or several GPUs for one device.
    """
    name = _STRATEGIES.get(runtime.distribution_strategy)
    if name is None:
        raise ConfigError(
            f"distribution_strategy: got {runtime.distribution_strategy!r}; takes one of "
            f"{', '.join(_STRATEGIES)}."
        )
    gpus = runtime.num_gpus
    if gpus < -1 or (name == "one_device" and gpus not in (0, 1)):
        raise ConfigError(
            f"num_gpus: got {gpus} with distribution_strategy "
            f"{runtime.distribution_strategy!r}; takes 0 or 1 with one device, -1 or more else."
        )
    strategy: dict[str, Any] = {"name": name}
    if name == "tpu":
        strategy["tpu"] = runtime.tpu or ""
    else:
        strategy["device"] = "gpu" if gpus else "cpu"
    if name == "mirrored" and gpus > 0:
        strategy["devices"] = gpus
    return {
        "precision": runtime.mixed_precision_dtype or "float32",
        "xla": runtime.enable_xla,
        "strategy": strategy,
    }


def check_privacy(config: Any) -> None:
    """Whether differentially private training can be had with these settings.

    Args:
        config: Anything with `clipping_norm` and `noise_multiplier`.

    Raises:
        ConfigError: A field is missing or not above 0: without noise there is no privacy.
    """
    for name in ("clipping_norm", "noise_multiplier"):
        value = getattr(config, name, None)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise ConfigError(
                f"dp_config.{name}: got {value!r}; takes a number above 0: without it no bound "
                f"on what the weights tell about an example holds."
            )
