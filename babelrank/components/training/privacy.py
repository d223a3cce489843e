"""The part of DP-SGD that clips and adds noise (https://arxiv.org/abs/1607.00133).

A step sums the gradients of single examples, each clipped to a norm C, adds Gaussian noise of
standard deviation `noise_multiplier * C` once, and divides by the expected batch size, a constant.
One example then moves the sum by at most C, whatever it is; what an optimizer makes of the result
tells no more about it. The gradient of an example must not depend on others, as it would if its
loss were divided by the tokens of the whole batch. Dropout has to be drawn anew for each example,
from a secret: the mask follows from the example's place in the sample, which others move.

Floating-point numbers are no real Gaussians, and Philox is no cryptographic generator; attacks on
such noise are known (https://arxiv.org/abs/2112.05307). Epsilon is that of the formulas, and no
bound for someone who examines the last bits of the weights of every step.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training.config import PrivacyConfig, TrainingConfig

WHAT_IT_COVERS = (
    "Epsilon bounds how far the presence of any one training example can show in the weights, at "
    "every step. It does not cover: vocabularies, subwords and scaling statistics, which were "
    "learned from the data beforehand; the number of examples; the loss and the metrics of the "
    "train split in the history and in TensorBoard; the eval and test splits, which pick the best "
    "model, end training early and give the metrics and the slices; the choice of settings by "
    "several trainings. A person with many examples is protected less than one with a single one."
)
_AFTER_WARM_START = (
    "Where training began with the weights of another model, epsilon covers this training only; "
    "what that model had learned from the same examples comes on top."
)
_STRATEGIES = {
    "parameter_server": "its workers update one by one, so no sum over a step gets the noise",
    "tpu": "samples vary in size, and a TPU takes one shape",
}
_BATCH_NORMALIZATIONS = (
    tf.keras.layers.BatchNormalization,
    tf.keras.layers.experimental.SyncBatchNormalization,
)
_PHILOX = 1  # number of the generator in TensorFlow's operations
# How 63 bits are shared: 2 for the draws, 14 for the variable, 12 for the replica, 35 for the step.
_DRAWS, _VARIABLES, _REPLICAS = 2**2, 2**14, 2**12


def check(config: TrainingConfig) -> None:
    """Refuses what cannot be trained with the privacy that epsilon states.

    Raises:
        ConfigError: It is asked for together with `privacy`.
    """
    if config.privacy is None:
        return
    if config.precision == "float16":
        raise ConfigError(
            "precision: got float16; with privacy takes float32 or bfloat16: loss scaling leaves "
            "out steps by what their examples do."
        )
    if config.accumulation > 1:
        raise ConfigError(
            f"accumulation: got {config.accumulation}; with privacy takes 1: a batch is worked on "
            f"example by example anyway."
        )
    if config.xla:
        raise ConfigError(
            "xla: got true; with privacy takes false: samples vary in size, and XLA needs batches "
            "of one shape."
        )
    reason = _STRATEGIES.get(config.strategy.name)
    if reason:
        raise ConfigError(
            f"strategy: got {config.strategy.name}; with privacy takes one_device, mirrored or "
            f"multi_worker_mirrored: {reason}."
        )


def check_model(model: tf.keras.Model) -> None:
    """Refuses layers that learn from a batch without a gradient, and so without noise.

    Raises:
        ConfigError: There is a batch normalization that is trained.
    """
    for layer in model.submodules:
        if isinstance(layer, _BATCH_NORMALIZATIONS) and layer.trainable:
            raise ConfigError(
                f"privacy: {layer.name} keeps means of the examples, which get no noise; takes "
                f"models without batch normalization. Use LayerNormalization, or freeze the layer."
            )


def max_rollbacks(config: TrainingConfig) -> int:
    """The configured number; 0 with privacy.

    Which batches to leave out would be chosen by their loss, which no epsilon accounts for.
    """
    return 0 if config.privacy else config.recovery.max_rollbacks


def what_it_covers(config: TrainingConfig) -> str:
    """What the epsilon of this training is about, and what it is not."""
    return f"{WHAT_IT_COVERS} {_AFTER_WARM_START}" if config.warm_start else WHAT_IT_COVERS


def secret() -> int:
    """A number of 63 bits from the operating system, for the samples or the noise.

    Who knows it can take the noise off the weights: it belongs into the checkpoint and nowhere
    else.
    """
    return secrets.randbits(63)


def clipped(gradients: Sequence[Any], norm: float, factor: float = 1.0) -> list[Any]:
    """The gradients of one example, scaled down if their joint norm is above `norm`.

    Args:
        gradients: By variable a tensor, `tf.IndexedSlices`, or None where it has no gradient.
        norm: Largest Euclidean norm of all of them together.
        factor: What the gradients are multiplied by first, such as the number of replicas that
            the loss was divided by.

    Returns:
        The same in float32; indices are unique. NaN and infinity make all of them NaN.
    """
    whole = [_in_float32(gradient, factor) for gradient in gradients]
    present = [gradient for gradient in whole if gradient is not None]
    scale = norm / tf.maximum(tf.linalg.global_norm(present), norm)
    return [None if gradient is None else _map(gradient, lambda x: x * scale) for gradient in whole]


def noised(
    sums: Sequence[Any],
    config: PrivacyConfig,
    batch_size: int,
    key: Any,
    step: Any,
    replica: Any = 0,
    replicas: int = 1,
) -> list[Any]:
    """What a replica gives to the optimizer: its sums of clipped gradients, with noise.

    The sum over the replicas has noise of `noise_multiplier * clipping_norm / batch_size`.

    Args:
        sums: By variable a float32 tensor of its shape, or None where no example has a gradient.
            Not `tf.IndexedSlices`: all rows get noise, or it shows which ones were used.
        config: Noise and clipping.
        batch_size: Expected number of examples in the whole batch, over all replicas.
        key: See `noise`.
        step: Number of the step.
        replica: Number of this replica.
        replicas: Number of replicas.
    """
    stddev = config.noise_multiplier * config.clipping_norm / math.sqrt(replicas)
    return [
        None
        if total is None
        else (total + noise(tf.shape(total), stddev, key, step, replica, index)) / batch_size
        for index, total in enumerate(sums)
    ]


def noise(shape: Any, stddev: float, key: Any, step: Any, replica: Any, index: Any) -> tf.Tensor:
    """Gaussian noise that follows from its arguments, and is independent for different ones.

    TensorFlow draws no number beyond 5.68 standard deviations, where a Gaussian has 1.4e-8 of its
    weight: too much for a small delta. So four draws are added, which also hides the last bits of
    each (https://arxiv.org/abs/2107.10138).

    Args:
        shape: Shape of the result.
        stddev: Standard deviation.
        key: int64 [], from `secret`; in a variable, since a constant is saved with its graph.
        step: Number of the step, below 2^35; it, replica and index are integers or int tensors [].
        replica: Number of the replica, below 4096.
        index: Number of the variable, below 16384.

    Returns:
        float32 of that shape, on one kind of device always the same.
    """
    step, replica, index = (tf.cast(number, tf.int64) for number in (step, replica, index))
    number = ((step * _REPLICAS + replica) * _VARIABLES + index) * _DRAWS
    key = tf.cast(tf.convert_to_tensor(key, tf.int64), tf.uint64)
    draws = [
        tf.raw_ops.StatelessRandomNormalV2(
            shape=shape,
            key=key[None],
            # The second is the higher half; the lower one counts the numbers of a draw.
            counter=tf.cast(tf.stack([tf.zeros([], tf.int64), number + draw]), tf.uint64),
            alg=_PHILOX,
            dtype=tf.float32,
        )
        for draw in range(_DRAWS)
    ]
    return tf.add_n(draws) * (stddev / math.sqrt(_DRAWS))


def _in_float32(gradient: Any, factor: float) -> Any:
    if gradient is None:
        return None
    gradient = _map(gradient, lambda x: tf.cast(x, tf.float32) * factor)
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    # A row that an example uses twice has two slices, and the norm of their sum counts.
    indices, places = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(indices))
    return tf.IndexedSlices(values, indices, gradient.dense_shape)


def _map(gradient: Any, function: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        values = function(gradient.values)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return function(gradient)
