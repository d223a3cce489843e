"""Configuration of training, the same for every task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from babelrank.components.config import option, section
from babelrank.components.errors import ConfigError

_STEPS_PER_EPOCH = 300
_BATCH_SIZES = (64, 1024)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """One optimizer and its learning rate."""

    name: Literal["sgd", "adagrad", "adam", "adamw", "rmsprop"] = option("adam", "Optimizer.")
    learning_rate: float = option(0.001, "Peak learning rate.")
    warmup_steps: int = option(0, "The learning rate rises linearly over so many steps.")
    decay: Literal["constant", "cosine", "linear"] = option(
        "constant", "How the learning rate falls after the warm-up, to 0 at the last step."
    )
    clip_norm: float | None = option(None, "Clip the global norm of the gradients to this.")

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ConfigError(f"learning_rate: got {self.learning_rate}; takes more than 0.")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ConfigError(f"clip_norm: got {self.clip_norm}; takes more than 0, or null.")
        if self.warmup_steps < 0:
            raise ConfigError(f"warmup_steps: got {self.warmup_steps}; takes 0 or more.")


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptimizerConfig(OptimizerConfig):
    """Optimizer of the embedding tables."""

    name: Literal["sgd", "adagrad", "adam", "adamw", "rmsprop"] = option("adagrad", "Optimizer.")
    learning_rate: float = option(0.05, "Peak learning rate.")


@dataclass(frozen=True, kw_only=True)
class EarlyStoppingConfig:
    """When to stop before the last step."""

    metric: str | None = option(
        None, "Metric of the eval split to watch; null: the task's own (auc or rmse)."
    )
    patience: int = option(3, "Stop after so many evaluations without improvement; 0: never.")
    min_delta: float = option(0.0, "Smaller improvements do not count.")

    def __post_init__(self) -> None:
        if self.patience < 0 or self.min_delta < 0:
            raise ConfigError("patience and min_delta: take 0 or more.")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long, how fast and in what steps a model is trained."""

    batch_size: int | None = option(
        None,
        "Examples in a batch, over all devices; null: 64 to 1024, so that an epoch has some "
        "300 steps.",
    )
    epochs: int = option(
        10, "Passes over the train split at the most, unless `steps` is set; see early_stopping."
    )
    steps: int | None = option(None, "Number of steps, in place of `epochs`.")
    optimizer: OptimizerConfig = section(OptimizerConfig, "Optimizer of the dense variables.")
    embedding_optimizer: EmbeddingOptimizerConfig = section(
        EmbeddingOptimizerConfig, "Optimizer of the embedding tables."
    )
    evaluate_every: int | None = option(None, "Steps between evaluations; null: each epoch.")
    checkpoint_interval: int = option(1000, "Steps between checkpoints.")
    early_stopping: EarlyStoppingConfig = section(EarlyStoppingConfig, "Early stopping.")
    seed: int = option(42, "Seed of the weights and of the order of the data.")
    tensorboard: bool = option(True, "Write TensorBoard summaries beside the model.")

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "steps", "evaluate_every", "checkpoint_interval"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: got {value}; takes 1 or more.")

    def batch_size_for(self, rows: int) -> int:
        """Examples in a batch of a train split of `rows` examples.

        Small data need small batches: with too few steps an embedding hardly leaves its start.
        """
        if self.batch_size is not None:
            return self.batch_size
        wanted = max(1, rows // _STEPS_PER_EPOCH)
        return min(max(1 << (wanted.bit_length() - 1), _BATCH_SIZES[0]), _BATCH_SIZES[1])
