"""Configuration of training, the same for every task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from babelrank.components.config import option, section
from babelrank.components.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """One optimizer and its learning rate."""

    name: Literal["sgd", "adagrad", "adam", "adamw", "rmsprop"] = option("adam", "Optimizer.")
    learning_rate: float = option(0.001, "Peak learning rate.")
    warmup_steps: int | None = option(
        0, "The learning rate rises linearly over so many steps; null: a tenth, at most 1000."
    )
    decay: Literal["constant", "cosine", "linear"] = option(
        "constant", "How the learning rate falls after the warm-up, to 0 at the last step."
    )
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
class TrainingConfig:
    """How long, how fast and in what steps a model is trained; each task adds its batches."""

    epochs: int = option(
        10, "Passes over the train split at the most, unless `steps` is set; see early_stopping."
    )
    steps: int | None = option(None, "Number of steps, in place of `epochs`.")
    optimizer: OptimizerConfig = section(OptimizerConfig, "The optimizer.")
    evaluate_every: int | None = option(None, "Steps between evaluations; null: each epoch.")
    checkpoint_interval: int = option(1000, "Steps between checkpoints.")
    early_stopping: EarlyStoppingConfig = section(EarlyStoppingConfig, "Early stopping.")
    seed: int = option(42, "Seed of the weights and of the order of the data.")
    tensorboard: bool = option(True, "Write TensorBoard summaries beside the model.")

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "evaluate_every", "checkpoint_interval"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: got {value}; takes 1 or more.")
