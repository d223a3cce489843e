"""Configuration of training, the same for every task. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from babelrank.components.config import option, section
from babelrank.components.errors import ConfigError

OptimizerName = Literal["sgd", "adagrad", "adam", "adamw", "adafactor", "rmsprop"]
Decay = Literal["constant", "cosine", "linear", "polynomial", "exponential", "inverse_sqrt"]
DECAY = (
    "How the learning rate falls after the warm-up: cosine, linear and polynomial (a square) to 0 "
    "at the last step, exponential to a hundredth, inverse_sqrt with the root of the step."
)
Precision = Literal["auto", "float32", "bfloat16", "float16"]
PRECISION = (
    "Arithmetic; auto: bfloat16 where the device has it. Weights stay float32; float16 scales the "
    "loss."
)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """One optimizer and its learning rate."""

    name: OptimizerName = option("adam", "Optimizer.")
    learning_rate: float = option(0.001, "Peak learning rate.")
    warmup_steps: int | None = option(
        0, "The learning rate rises over so many steps; null: a tenth, at most 1000."
    )
    warmup: Literal["linear", "polynomial"] = option(
        "linear", "How it rises; polynomial: with the square of the step."
    )
    decay: Decay = option("constant", DECAY)
    clip_norm: float | None = option(None, "Clip the global norm of the gradients to this.")

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ConfigError(f"learning_rate: got {self.learning_rate}; takes more than 0.")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ConfigError(f"clip_norm: got {self.clip_norm}; takes more than 0, or null.")
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise ConfigError(f"warmup_steps: got {self.warmup_steps}; takes 0 or more.")


@dataclass(frozen=True, kw_only=True)
class EarlyStoppingConfig:
    """When to stop before the last step."""

    metric: str | None = option(
        None, "Metric of the eval split to watch; null: the task's own (such as auc or rmse)."
    )
    patience: int = option(3, "Stop after so many evaluations without improvement; 0: never.")
    min_delta: float = option(0.0, "Smaller improvements do not count.")

    def __post_init__(self) -> None:
        if self.patience < 0 or self.min_delta < 0:
            raise ConfigError("patience and min_delta: take 0 or more.")


@dataclass(frozen=True, kw_only=True)
class StrategyConfig:
    """Where training runs. A bare name stands for `{name: NAME}`."""

    name: Literal[
        "auto", "one_device", "mirrored", "multi_worker_mirrored", "parameter_server", "tpu"
    ] = option(
        "auto",
        "auto: several workers if TF_CONFIG names them, else all GPUs, else the processor; "
        "mirrored: several devices of this machine; multi_worker_mirrored and parameter_server: "
        "the machines that TF_CONFIG names.",
    )
    device: Literal["auto", "cpu", "gpu"] = option(
        "auto", "Kind of device; gpu: an error where there is none; auto: gpu, else cpu."
    )
    devices: int | None = option(None, "Devices that mirrored uses; null: all of that kind.")
    tpu: str = option("", "Name or address of the TPU; empty: as the environment has it.")
    worker_timeout: int = option(
        300, "Seconds without a step after which a training of several workers gives up."
    )

    def __post_init__(self) -> None:
        if self.devices is not None and self.devices < 1:
            raise ConfigError(f"devices: got {self.devices}; takes 1 or more, or null.")
        if self.devices is not None and self.name not in ("auto", "mirrored"):
            raise ConfigError(f"devices: got {self.devices}; {self.name} takes null.")
        if self.worker_timeout < 5:
            raise ConfigError(f"worker_timeout: got {self.worker_timeout}; takes 5 or more.")

    @classmethod
    def from_shorthand(cls, value: Any, key: str) -> dict[str, Any]:
        """Turns `strategy: mirrored` into `strategy: {name: mirrored}`."""
        if not isinstance(value, str):
            raise ConfigError(f"{key}: got {value!r}; takes a strategy or a mapping.")
        return {"name": value}


@dataclass(frozen=True, kw_only=True)
class RecoveryConfig:
    """What happens when the loss is no number any more, or explodes."""

    max_rollbacks: int = option(
        3,
        "Batches that training may go back from and leave out before it fails; 0: none, and "
        "always so with privacy.",
    )
    loss_factor: float | None = option(
        100.0, "A loss so many times the recent mean counts as exploded; null: only NaN and inf."
    )

    def __post_init__(self) -> None:
        if self.max_rollbacks < 0:
            raise ConfigError(f"max_rollbacks: got {self.max_rollbacks}; takes 0 or more.")
        if self.loss_factor is not None and self.loss_factor <= 1:
            raise ConfigError(f"loss_factor: got {self.loss_factor}; takes more than 1, or null.")


@dataclass(frozen=True, kw_only=True)
class PrivacyConfig:
    """Differentially private training, DP-SGD (https://arxiv.org/abs/1607.00133).

    It protects single training examples, in what the weights tell. Vocabularies, scaling
    statistics, the eval split and the training loss in the history are not covered.
    """

    noise_multiplier: float = option(
        1.0, "Standard deviation of the noise, in multiples of clipping_norm."
    )
    batch_size: int = option(
        256, "Expected examples in a batch; each is drawn by itself, so that batches vary in size."
    )
    clipping_norm: float = option(1.0, "The gradient of each example is clipped to this norm.")
    delta: float | None = option(
        None, "Probability that the bound epsilon does not hold; null: 1 / (10 x examples)."
    )
    max_epsilon: float | None = option(None, "Training ends before epsilon exceeds this.")

    def __post_init__(self) -> None:
        for name in ("noise_multiplier", "clipping_norm", "max_epsilon"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name}: got {value}; takes more than 0.")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size: got {self.batch_size}; takes 1 or more.")
        if self.delta is not None and not 0 < self.delta < 1:
            raise ConfigError(f"delta: got {self.delta}; takes 0 < delta < 1, or null.")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long, how fast and in what steps a model is trained; each task adds its batches."""

    epochs: int = option(
        10, "Passes over the train split at the most, unless `steps` is set; see early_stopping."
    )
    steps: int | None = option(None, "Number of steps, in place of `epochs`.")
    optimizer: OptimizerConfig = section(OptimizerConfig, "The optimizer.")
    strategy: StrategyConfig = section(StrategyConfig, "Where training runs.")
    workers: int = option(
        1,
        "Pods that train together in a cluster, as a TFJob of Kubeflow's training operator; 1: the "
        "training runs in the step itself.",
    )
    parameter_servers: int = option(
        0, "Pods beside the workers that hold the weights, for strategy: parameter_server."
    )
    precision: Precision = option("float32", PRECISION)
    xla: bool = option(False, "Compile the step with XLA; needs batches of one shape.")
    accumulation: int = option(
        1, "Parts in which a batch is worked on, one after another, to save memory."
    )
    steps_per_execution: int = option(
        1, "Steps between returns to Python; more is faster on TPUs and with small models."
    )
    ema_decay: float | None = option(
        None, "Average the weights over the steps with this decay, and keep the average; 0.999."
    )
    deterministic: bool = option(
        False, "Only operations that give the same bits each time; slower on GPUs."
    )
    warm_start: str | None = option(
        None,
        "Start from the weights of another model: blessed (the last one here that passed the "
        "gate), pushed (the last one pushed), or the path of a model or checkpoint.",
    )
    evaluate_every: int | None = option(None, "Steps between evaluations; null: each epoch.")
    checkpoint_interval: int = option(1000, "Steps between checkpoints.")
    early_stopping: EarlyStoppingConfig = section(EarlyStoppingConfig, "Early stopping.")
    recovery: RecoveryConfig = section(RecoveryConfig, "When the loss is lost.")
    privacy: PrivacyConfig | None = option(
        None, "Differentially private training; {} for the defaults, null: none."
    )
    seed: int = option(42, "Seed of the weights and of the order of the data.")
    tensorboard: bool = option(True, "Write TensorBoard summaries beside the model.")

    def __post_init__(self) -> None:
        names = (
            "epochs",
            "steps",
            "evaluate_every",
            "checkpoint_interval",
            "accumulation",
            "steps_per_execution",
        )
        for name in names:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: got {value}; takes 1 or more.")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ConfigError(f"ema_decay: got {self.ema_decay}; takes 0 < x < 1, or null.")
        self._check_workers()

    def _check_workers(self) -> None:
        name, servers = self.strategy.name, self.parameter_servers
        if self.workers < 1:
            raise ConfigError(f"workers: got {self.workers}; takes 1 or more.")
        if servers < 0 or (servers and self.workers == 1):
            raise ConfigError(
                f"parameter_servers: got {servers}; takes 0, or more with two workers and more."
            )
        if self.workers == 1:
            return
        takes = ("auto", "parameter_server") if servers else ("auto", "multi_worker_mirrored")
        if name not in takes:
            raise ConfigError(
                f"strategy.name: got {name}; with workers: {self.workers} and parameter_servers: "
                f"{servers} it takes {' or '.join(takes)}."
            )
