"""Steps with parameter servers: workers take them side by side, each with what weights it finds.

Batches come from `tf.numpy_function`, which runs in the process that made it. So the coordinator
fetches them, each once, and sends them along with the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import parts, precision
from babelrank.components.training import strategy as strategies
from babelrank.components.training.config import TrainingConfig
from babelrank.components.training.steps import Steps
from babelrank.components.training.task import Task


class AsyncSteps(Steps):
    """What a `ParameterServerStrategy` makes of a task; runs on its coordinator.

    A step that a lost worker did not finish is taken by another; if that worker was lost after it
    had changed some weights, those get its gradients twice. Which step sees which weights is up
    to chance: a resumed training goes on at the exact batch, but not bit for bit. Validation runs
    on the coordinator.

    Args:
        task: What is trained.
        config: How.
        strategy: Where.
        total: Steps of the whole training.
        varied: Whether nearly every training batch has a shape of its own.
        plan: How batches are divided into parts; None: they are not.

    Raises:
        ConfigError: Privacy or float16 is asked for, or see `Steps`.
    """

    def __init__(
        self,
        task: Task,
        config: TrainingConfig,
        strategy: tf.distribute.Strategy,
        total: int,
        varied: bool,
        plan: parts.Plan | None = None,
    ) -> None:
        if config.privacy is not None:
            raise ConfigError(
                "privacy: got parameter_server for strategy, where a step that a lost worker began "
                "may count twice, and epsilon would be too small; takes another strategy."
            )
        if precision.resolve(config.precision) == "float16":
            raise ConfigError(
                "precision: got float16, and TensorFlow scales no loss under parameter_server; "
                "takes float32 or bfloat16."
            )
        super().__init__(task, config, strategy, total, varied, plan)
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)

    def train(self, batches: Iterator[Any], count: int) -> tf.Tensor:
        """Has `count` steps taken on the next batches; their losses, [count], when all are done."""
        take, step = self._taking(), int(self.step.numpy())
        losses = [
            self._coordinator.schedule(take, args=(next(batches), tf.constant(step + i, tf.int64)))
            for i in range(count)
        ]
        self._coordinator.join()
        # Here and not by the workers, who may take a step twice.
        self.step.assign_add(count)
        return tf.stack(self._coordinator.fetch(losses))

    def _taking(self) -> Any:
        """The compiled step, of a batch and its number."""
        if "take" not in self._compiled:
            signature = self._compiled.get("train signature")
            if signature is not None:
                signature = [*signature, tf.TensorSpec([], tf.int64)]
            self._compiled["take"] = tf.function(
                self._take, input_signature=signature, autograph=False
            )
        return self._compiled["take"]

    def _distributed(
        self, part: Callable[[tf.distribute.InputContext | None], tf.data.Dataset]
    ) -> tf.data.Dataset:
        return part(None)


def steps_of(strategy: tf.distribute.Strategy) -> type[Steps]:
    """What takes the steps under a strategy."""
    return AsyncSteps if strategies.is_asynchronous(strategy) else Steps
