"""A training with differential privacy: its secrets, its plan for a batch, and what it spends."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import privacy
from babelrank.components.training.accountant import Accountant
from babelrank.components.training.config import PrivacyConfig, TrainingConfig
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.parts import Gradients, Plan
from babelrank.components.training.poisson import PoissonBatches
from babelrank.components.training.task import Task
from babelrank.components.training.workers import Workers

_MOST_PARTS = 2**20  # examples of a batch: each has dropout of its own


class PrivateTraining:
    """What `privacy` in the configuration comes to.

    Args:
        config: The configuration of the training, with `privacy`.
        train: The training batches, Poisson samples.
        strategy: Where it runs; the secrets are made in its scope.
        workers: Of a training of several workers: all get the secrets of the first.

    Attributes:
        secrets: int64 [3], of the samples, the noise and the dropout; to be saved in checkpoints
            and nowhere else.

    Raises:
        ConfigError: See `privacy.check` and `Accountant`, or batches of another kind.
    """

    def __init__(
        self,
        config: TrainingConfig,
        train: BatchSource,
        strategy: tf.distribute.Strategy,
        workers: Workers | None = None,
    ) -> None:
        assert config.privacy is not None
        privacy.check(config)
        if not isinstance(train, PoissonBatches):
            raise ConfigError(
                f"privacy: got {type(train).__name__} to train on; takes PoissonBatches, whose "
                f"samples epsilon is computed for."
            )
        self._config, self._whole, self._train = config.privacy, config, train
        self._accountant = Accountant(config.privacy, train.rows, train.batch_size)
        self._replicas = strategy.num_replicas_in_sync
        drawn = b"".join(privacy.secret().to_bytes(8, "little") for _ in range(3))
        if workers is not None:
            drawn = workers.gather(drawn)[0]
        numbers = [int.from_bytes(drawn[i : i + 8], "little") for i in (0, 8, 16)]
        with strategy.scope():
            self.secrets = tf.Variable(
                numbers,
                dtype=tf.int64,
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

    @property
    def warning(self) -> str | None:
        """What is wrong with delta, or None."""
        return self._accountant.warning

    def samples(self) -> PoissonBatches:
        """The training batches as the present secrets draw them."""
        return self._train.seeded(int(self.secrets[0].numpy()))

    def plan(self) -> Plan:
        """How a batch is worked on."""
        return _Private(self._config, self._train.batch_size, self.secrets, self._replicas)

    def steps_within(self, total: int) -> int:
        """The steps out of `total` that `max_epsilon` leaves room for."""
        if self._config.max_epsilon is None:
            return total
        return self._accountant.steps_within(self._config.max_epsilon, total)

    def epsilon(self, steps: int) -> float:
        """What so many steps spend."""
        return self._accountant.epsilon(steps)

    def summary(self, steps: int) -> dict[str, Any]:
        """What the report and machines should know after so many steps."""
        return {
            "epsilon": self.epsilon(steps),
            "delta": self._accountant.delta,
            "noise_multiplier": self._config.noise_multiplier,
            "clipping_norm": self._config.clipping_norm,
            "batch_size": self._train.batch_size,
            "examples": self._train.rows,
            "steps": steps,
            "covers": privacy.what_it_covers(self._whole),
        }


class _Private(Plan):
    """Each example is a part; its gradient is clipped, and their sum gets noise.

    Args:
        config: Clipping and noise.
        batch_size: Expected examples of a batch, over all replicas.
        secrets: See `PrivateTraining`.
        replicas: Number of replicas.
    """

    def __init__(
        self, config: PrivacyConfig, batch_size: int, secrets: tf.Variable, replicas: int
    ) -> None:
        self._config, self._batch_size = config, batch_size
        self._secrets, self._replicas = secrets, replicas

    def parts(self, inputs: Any) -> tf.Tensor:
        """See `Plan`: the examples, which may be none."""
        return tf.shape(tf.nest.flatten(inputs)[0])[0]

    def weight(self, task: Task, part: Any, whole: tf.Tensor) -> tf.Tensor:
        """See `Plan`: a constant, since what the other examples are must not show."""
        return tf.constant(self._replicas / self._batch_size, tf.float32)

    def number(self, number: tf.Tensor, count: tf.Tensor | int, i: tf.Tensor) -> tf.Tensor:
        """See `Plan`: from a secret, since the place of an example follows from the others."""
        return self._secrets[2] + number * _MOST_PARTS + tf.cast(i, tf.int64)

    def taken(self, gradients: Gradients, weight: tf.Tensor) -> Gradients:
        """See `Plan`; the task has divided the loss by the number of replicas."""
        return privacy.clipped(gradients, self._config.clipping_norm, self._replicas)

    def total(self, sums: Gradients, step: tf.Tensor) -> Gradients:
        """See `Plan`: the sums with noise, divided by the expected examples."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return privacy.noised(
            sums, self._config, self._batch_size, self._secrets[1], step, replica, self._replicas
        )

    def apply(self, optimizer: Any, pairs: list[tuple[Any, tf.Variable]]) -> None:
        """See `Plan`."""
        optimizer.apply_private_gradients(pairs)
