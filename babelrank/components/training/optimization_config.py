"""The Model Garden's `OptimizationConfig`, by name and field: optimizer, learning rate, averages.

Defaults are the Model Garden's. `optimization.create` makes the optimizer, also of the Model
Garden's own objects: all is read by fields. Kinds that Keras lacks have no field here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from babelrank.components.config import option, section
from babelrank.components.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class OneOfConfig:
    """One of several kinds, each with a field of its own; only the field that `type` names counts.

    Raises:
        ConfigError: `type` names no field.
    """

    type: str | None = option(None, "Name of the field that counts.")

    def __post_init__(self) -> None:
        kinds = [field.name for field in dataclasses.fields(self) if field.name != "type"]
        if self.type is not None and self.type not in kinds:
            raise ConfigError(f"type: got {self.type!r}; takes one of {', '.join(kinds)}.")

    def get(self) -> Any:
        """What the field that counts holds, or None without a type."""
        return None if self.type is None else getattr(self, self.type)


@dataclass(frozen=True, kw_only=True)
class BaseOptimizerConfig:
    """What all optimizers have."""

    clipnorm: float | None = option(None, "Clip the norm of each gradient to this.")
    clipvalue: float | None = option(None, "Clip each value of a gradient to this.")
    global_clipnorm: float | None = option(None, "Clip the norm of all gradients together.")


@dataclass(frozen=True, kw_only=True)
class SGDConfig(BaseOptimizerConfig):
    """Gradient descent; see `tf.keras.optimizers.legacy.SGD`."""

    name: str = option("SGD", "Name of the optimizer.")
    decay: float = option(0.0, "The rate is divided by 1 + decay x step.")
    nesterov: bool = option(False, "Nesterov's momentum.")
    momentum: float = option(0.0, "Momentum.")


@dataclass(frozen=True, kw_only=True)
class RMSPropConfig(BaseOptimizerConfig):
    """See `tf.keras.optimizers.legacy.RMSprop`."""

    name: str = option("RMSprop", "Name of the optimizer.")
    rho: float = option(0.9, "Decay of the mean square.")
    momentum: float = option(0.0, "Momentum.")
    epsilon: float = option(1e-7, "Keeps the denominator from 0.")
    centered: bool = option(False, "Divide by the variance in place of the mean square.")


@dataclass(frozen=True, kw_only=True)
class AdagradConfig(BaseOptimizerConfig):
    """See `tf.keras.optimizers.legacy.Adagrad`."""

    name: str = option("Adagrad", "Name of the optimizer.")
    initial_accumulator_value: float = option(0.1, "What the sums of squares begin with.")
    epsilon: float = option(1e-7, "Keeps the denominator from 0.")


@dataclass(frozen=True, kw_only=True)
class AdamConfig(BaseOptimizerConfig):
    """See `tf.keras.optimizers.legacy.Adam`."""

    name: str = option("Adam", "Name of the optimizer.")
    beta_1: float = option(0.9, "Decay of the mean.")
    beta_2: float = option(0.999, "Decay of the mean square.")
    epsilon: float = option(1e-7, "Keeps the denominator from 0.")
    amsgrad: bool = option(False, "Divide by the largest mean square so far.")


@dataclass(frozen=True, kw_only=True)
class AdamWeightDecayConfig(BaseOptimizerConfig):
    """See `adamw.AdamW`. Gradients are clipped after they are summed over the replicas."""

    name: str = option("AdamWeightDecay", "Name of the optimizer.")
    beta_1: float = option(0.9, "Decay of the mean.")
    beta_2: float = option(0.999, "Decay of the mean square.")
    epsilon: float = option(1e-7, "Keeps the denominator from 0.")
    amsgrad: bool = option(False, "Divide by the largest mean square so far.")
    weight_decay_rate: float = option(0.0, "Variables shrink by this, times the learning rate.")
    include_in_weight_decay: tuple[str, ...] | None = option(
        None, "Regular expressions of names that shrink in any case."
    )
    exclude_from_weight_decay: tuple[str, ...] | None = option(
        None, "Regular expressions of names that do not."
    )
    gradient_clip_norm: float = option(1.0, "Clip the norm of all gradients together; 0: do not.")


@dataclass(frozen=True, kw_only=True)
class AdafactorConfig(BaseOptimizerConfig):
    """See `tf.keras.optimizers.Adafactor`, which factors every matrix.

    Fields that it has no argument for take their defaults only.
    """

    name: str = option("Adafactor", "Name of the optimizer.")
    factored: bool = option(True, "Takes true.")
    multiply_by_parameter_scale: bool = option(True, "Takes true.")
    beta1: float | None = option(None, "Takes null.")
    decay_rate: float = option(0.8, "At step t the decay of the squares is 1 - t^-decay_rate.")
    step_offset: int = option(0, "Takes 0.")
    clipping_threshold: float = option(1.0, "Clip the root mean square of an update to this.")
    min_dim_size_to_factor: int = option(128, "Takes 128.")
    epsilon1: float = option(1e-30, "Keeps the denominator from 0.")
    epsilon2: float = option(1e-3, "Least scale of a variable.")
    weight_decay: float | None = option(None, "Variables shrink by this, times the rate.")
    include_in_weight_decay: str | None = option(None, "Takes null.")


@dataclass(frozen=True, kw_only=True)
class AdafactorKerasConfig(BaseOptimizerConfig):
    """See `tf.keras.optimizers.Adafactor`."""

    name: str = option("Adafactor", "Name of the optimizer.")
    beta_2_decay: float = option(-0.8, "At step t the decay of the squares is 1 - t^this.")
    epsilon_1: float = option(1e-30, "Keeps the denominator from 0.")
    epsilon_2: float = option(1e-3, "Least scale of a variable.")
    clip_threshold: float = option(1.0, "Clip the root mean square of an update to this.")
    relative_step: bool = option(True, "A constant rate is at most 1 / sqrt(t).")


@dataclass(frozen=True, kw_only=True)
class EMAConfig(BaseOptimizerConfig):
    """Moving averages of the weights; see `averaging.ExponentialMovingAverage`."""

    name: str = option("ExponentialMovingAverage", "Name of the optimizer.")
    trainable_weights_only: bool = option(True, "Takes true.")
    average_decay: float = option(0.99, "Decay of the averages.")
    start_step: int = option(0, "Step from which on there are averages.")
    dynamic_decay: bool = option(True, "Smaller decays for the first steps.")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(OneOfConfig):
    """Which optimizer."""

    sgd: SGDConfig = section(SGDConfig, "Gradient descent.")
    adam: AdamConfig = section(AdamConfig, "Adam.")
    adamw: AdamWeightDecayConfig = section(AdamWeightDecayConfig, "Adam with weight decay.")
    adafactor: AdafactorConfig = section(AdafactorConfig, "Adafactor.")
    adafactor_keras: AdafactorKerasConfig = section(AdafactorKerasConfig, "The same, Keras's keys.")
    adagrad: AdagradConfig = section(AdagradConfig, "Adagrad.")
    rmsprop: RMSPropConfig = section(RMSPropConfig, "RMSprop.")


@dataclass(frozen=True, kw_only=True)
class ConstantLrConfig:
    """The same rate at all steps."""

    name: str = option("Constant", "Name.")
    learning_rate: float = option(0.1, "The rate.")


@dataclass(frozen=True, kw_only=True)
class StepwiseLrConfig:
    """`values[i]` up to step `boundaries[i]`, the last value after that."""

    name: str = option("PiecewiseConstantDecay", "Name.")
    boundaries: tuple[int, ...] | None = option(None, "Rising steps.")
    values: tuple[float, ...] | None = option(None, "Rates, one more than boundaries.")
    offset: int = option(0, "Step that counts as 0.")


@dataclass(frozen=True, kw_only=True)
class ExponentialLrConfig:
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`."""

    name: str = option("ExponentialDecay", "Name.")
    initial_learning_rate: float | None = option(None, "Rate at step 0.")
    decay_steps: int | None = option(None, "Steps for one decay_rate.")
    decay_rate: float | None = option(None, "Factor of a decay.")
    staircase: bool | None = option(None, "Whole decays only.")
    offset: int = option(0, "Step that counts as 0.")


@dataclass(frozen=True, kw_only=True)
class PolynomialLrConfig:
    """Falls to `end_learning_rate` as `(1 - step / decay_steps) ** power`."""

    name: str = option("PolynomialDecay", "Name.")
    initial_learning_rate: float | None = option(None, "Rate at step 0.")
    decay_steps: int | None = option(None, "Step of the end.")
    end_learning_rate: float = option(0.0001, "Rate at the end.")
    power: float = option(1.0, "1 for a straight line.")
    cycle: bool = option(False, "Begin again after the end.")
    offset: int = option(0, "Step that counts as 0.")


@dataclass(frozen=True, kw_only=True)
class CosineLrConfig:
    """Falls to `alpha * initial_learning_rate` as half a cosine."""

    name: str = option("CosineDecay", "Name.")
    initial_learning_rate: float | None = option(None, "Rate at step 0.")
    decay_steps: int | None = option(None, "Step of the end.")
    alpha: float = option(0.0, "Fraction of the rate that is left at the end.")
    offset: int = option(0, "Step that counts as 0.")


@dataclass(frozen=True, kw_only=True)
class DirectPowerLrConfig:
    """`initial_learning_rate * step ** power`: by default the inverse square root."""

    name: str = option("DirectPowerDecay", "Name.")
    initial_learning_rate: float | None = option(None, "Rate at step 1.")
    power: float = option(-0.5, "Power of the step.")


@dataclass(frozen=True, kw_only=True)
class LrConfig(OneOfConfig):
    """Which course of the learning rate."""

    constant: ConstantLrConfig = section(ConstantLrConfig, "The same rate at all steps.")
    stepwise: StepwiseLrConfig = section(StepwiseLrConfig, "Constant in parts.")
    exponential: ExponentialLrConfig = section(ExponentialLrConfig, "Exponential.")
    polynomial: PolynomialLrConfig = section(PolynomialLrConfig, "Polynomial.")
    cosine: CosineLrConfig = section(CosineLrConfig, "Half a cosine.")
    power: DirectPowerLrConfig = section(DirectPowerLrConfig, "A power of the step.")


@dataclass(frozen=True, kw_only=True)
class LinearWarmupConfig:
    """Rises along a straight line."""

    name: str = option("linear", "Name.")
    warmup_learning_rate: float = option(0.0, "Rate at step 0.")
    warmup_steps: int | None = option(None, "Steps of the warm-up.")


@dataclass(frozen=True, kw_only=True)
class PolynomialWarmupConfig:
    """Rises as a power of the step, from that of step 1."""

    name: str = option("polynomial", "Name.")
    power: float = option(1.0, "1 for a straight line.")
    warmup_steps: int | None = option(None, "Steps of the warm-up.")


@dataclass(frozen=True, kw_only=True)
class WarmupConfig(OneOfConfig):
    """Which warm-up."""

    linear: LinearWarmupConfig = section(LinearWarmupConfig, "A straight line.")
    polynomial: PolynomialWarmupConfig = section(PolynomialWarmupConfig, "A power of the step.")


@dataclass(frozen=True, kw_only=True)
class OptimizationConfig:
    """Optimizer, learning rate, warm-up and averages of the weights."""

    optimizer: OptimizerConfig = section(OptimizerConfig, "The optimizer.")
    ema: EMAConfig | None = option(None, "Averages of the weights; null: none.")
    learning_rate: LrConfig = section(LrConfig, "The learning rate.")
    warmup: WarmupConfig = section(WarmupConfig, "The warm-up.")
