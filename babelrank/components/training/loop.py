"""The training loop: steps, evaluations, checkpoints, early stopping, resume at the exact batch.

Keras's `fit` cannot start in the middle of an epoch, does not feed `aggregate_logs`, and saves no
position in the data. Here the position follows from the step alone: batch `step % len(train)` of
epoch `step // len(train)`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError, DivergedError
from babelrank.components.training import optimizers
from babelrank.components.training import progress as progress_displays
from babelrank.components.training import strategy as strategies
from babelrank.components.training.checkpoints import Checkpoints, Position
from babelrank.components.training.config import TrainingConfig
from babelrank.components.training.history import History, finite
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.progress import Progress
from babelrank.components.training.task import Task

_RECORDS = 200  # points of the loss curve in the history
_SHOWN_METRICS = 4  # of an evaluation, on one line; the history has them all
_FETCH_STEPS = 50  # the loss leaves the device after so many steps ...
_FETCH_SECONDS = 1.0  # ... or so many seconds, whichever comes first


@dataclass(frozen=True)
class FitResult:
    """What a training came to.

    Attributes:
        model: The model with the best weights, or the last ones without an evaluation.
        history: Records in the order of their steps, also in `history.json`: `step`, `epoch`
            (a float, in passes over the data), `loss` (mean since the last record), the training
            metrics, and after an evaluation `eval`: a dict of metrics.
        steps: Steps taken, those before a resume included.
        speed: Examples or tokens (see `unit`) a second in this run's training steps, without
            evaluations; 0 if there were none.
        unit: "examples" or "tokens", as the training batches count.
        resumed_from: Step of the checkpoint that this run began with, or None.
        stopped_early: Why training ended before the last step, or None.
        best_step: Step of the best evaluation, or None.
        best_metrics: Eval metrics of that step.
    """

    model: tf.keras.Model
    history: list[dict[str, Any]]
    steps: int
    speed: float
    unit: str
    resumed_from: int | None
    stopped_early: str | None
    best_step: int | None
    best_metrics: dict[str, float | None]


def fit(
    task: Task,
    config: TrainingConfig,
    train: BatchSource,
    evaluation: BatchSource | None,
    directory: str | os.PathLike[str],
    strategy: tf.distribute.Strategy | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Trains the task's model, or goes on with the training that `directory` holds.

    A resumed training takes the same steps as one that was never interrupted. A KeyboardInterrupt
    saves a checkpoint before it propagates.

    Args:
        task: What to train. Its `best_metric` picks the best checkpoint and stops early.
        config: How long and in what steps. What it says about batches, `train` has done already.
        train: Training batches.
        evaluation: Eval batches, or None for no evaluation; then the last weights are kept.
        directory: Gets `checkpoints`, `best`, `tensorboard` and `history.json`.
        strategy: Where steps run; None: one device.
        progress: Whom to tell; None: a bar on a terminal, lines in a log.

    Raises:
        ConfigError: The checkpoint in `directory` is of another training, or a metric is unknown.
        DivergedError: The loss is NaN or infinite; names the step.
    """
    display = progress or progress_displays.default()
    loop = _Loop(task, config, train, evaluation, Path(directory), strategy, display)
    return loop.run()


class _Loop:
    def __init__(
        self,
        task: Task,
        config: TrainingConfig,
        train: BatchSource,
        evaluation: BatchSource | None,
        directory: Path,
        strategy: tf.distribute.Strategy | None,
        progress: Progress,
    ) -> None:
        self.task, self.config, self.train, self.evaluation = task, config, train, evaluation
        self.directory, self.progress = directory, progress
        self.strategy = strategy or strategies.create()
        self.total = config.steps or config.epochs * len(train)
        self.evaluate_every = config.evaluate_every or len(train)
        self.record_every = max(1, self.total // _RECORDS)
        self.metric = config.early_stopping.metric or task.best_metric
        self.mode = task.metric_mode(self.metric)
        self._build()
        self.pending: list[tf.Tensor] = []  # losses that are still on the device
        self.recent = math.nan
        self.seconds, self.amount, self.steps_here = 0.0, 0, 0
        self.history = History(directory, config.tensorboard)

    def _build(self) -> None:
        tf.keras.utils.set_random_seed(self.config.seed)
        with self.strategy.scope():
            self.model = self.task.build_model()
            self.optimizer = self.task.create_optimizer(
                dataclasses.replace(self.config, steps=self.total)
            )
            if self.model.built:
                optimizers.create_slots(self.optimizer, self.model.trainable_variables)
            self.metrics = self.task.build_metrics(training=True)
            self.eval_metrics = self.task.build_metrics(training=False)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        position = Position(seed=self.config.seed, data=self.train.identity)
        self.checkpoints = Checkpoints(
            self.directory, self.model, self.optimizer, self.step, position, self.metrics
        )
        self.compiled: dict[str, Any] = {}

    @property
    def position(self) -> Position:
        return self.checkpoints.position

    def run(self) -> FitResult:
        resumed_from = self.checkpoints.restore()
        if resumed_from is None:
            self.task.initialize(self.model)
        with contextlib.ExitStack() as stack:
            stack.callback(self.progress.close)
            stack.enter_context(contextlib.closing(self.history))
            self.progress.start(self.position.step, self.total, self.train.unit)
            if resumed_from is not None:
                self.progress.note(f"training: resumed at step {resumed_from}")
            try:
                self._run_steps()
            except KeyboardInterrupt:
                self._save()
                raise
        if self.position.best_step is not None:
            self.checkpoints.restore_best()
        return self._result(resumed_from)

    def _run_steps(self) -> None:
        batches: Iterator[Any] | None = None
        fetched = time.monotonic()
        while True:
            step = self.position.step
            if self._record_due(step):
                self._record()
            if self.evaluation and self._evaluation_due(step):
                self._evaluate(self.evaluation)
                self._save()
                fetched = time.monotonic()
            elif self._save_due(step):
                self._save()
            if step >= self.total or self.position.stopped:
                return
            batches = batches or self._batches(step)
            self._take_step(batches)
            waited = time.monotonic() - fetched >= _FETCH_SECONDS
            if waited or len(self.pending) >= _FETCH_STEPS or self.position.step == self.total:
                fetched = time.monotonic()
                self._report()

    def _take_step(self, batches: Iterator[Any]) -> None:
        position, began = self.position, time.perf_counter()
        self.pending.append(self.compiled["train"](next(batches)))
        if self.steps_here:  # the first step also traces and compiles
            self.seconds += time.perf_counter() - began
            self.amount += self.train.amount_in(position.batch, position.epoch)
        self.steps_here += 1
        self._move_to(position.step + 1)

    def _train_on_replicas(self, batch: Any) -> tf.Tensor:
        def replica_step(inputs: Any) -> Any:
            logs = self.task.train_step(inputs, self.model, self.optimizer, self.metrics)
            return logs[self.task.loss]

        losses = self.strategy.run(replica_step, args=(batch,))
        self.step.assign_add(1)
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)

    def _validate_on_replicas(self, batch: Any) -> Any:
        def replica_step(inputs: Any) -> Any:
            return self.task.validation_step(inputs, self.model, self.eval_metrics)

        return self.strategy.run(replica_step, args=(batch,))

    def _batches(self, step: int) -> Iterator[Any]:
        epoch, index = divmod(step, len(self.train))
        dataset = self.train.dataset(epoch, index, epochs=None)
        return iter(self._distributed("train", self.train, dataset, self._train_on_replicas))

    def _distributed(self, name: str, source: BatchSource, dataset: Any, step: Any) -> Any:
        """The dataset over the replicas; `compiled[name]` gets the function that takes a batch."""
        distributed = self.strategy.experimental_distribute_dataset(dataset)
        if name not in self.compiled:
            # A trace for each shape is faster than one for all, unless there are many shapes.
            signature = [distributed.element_spec] if source.varied else None
            self.compiled[name] = tf.function(step, input_signature=signature, autograph=False)
        return distributed

    def _move_to(self, step: int) -> None:
        self.position.step = step
        self.position.epoch, self.position.batch = divmod(step, len(self.train))

    def _record_due(self, step: int) -> bool:
        if step == 0 or self._recorded() == step:
            return False
        return step >= self.total or step % self.record_every == 0

    def _recorded(self) -> int | None:
        """Step of the last record."""
        return self.position.history[-1]["step"] if self.position.history else None

    def _evaluation_due(self, step: int) -> bool:
        if step == 0 or self.position.evaluated == step:
            return False
        return step >= self.total or step % self.evaluate_every == 0

    def _save_due(self, step: int) -> bool:
        if step == 0 or self.checkpoints.saved_at == step:
            return False
        return step >= self.total or step % self.config.checkpoint_interval == 0

    def _save(self) -> None:
        # The variable and not the Python count tells the truth after an interrupt in a step.
        self._move_to(int(self.step.numpy()))
        self._fetch()
        self.checkpoints.save()
        self.history.write(self.position)

    def _fetch(self) -> None:
        """Takes the losses of the last steps from the device."""
        losses = [float(loss) for loss in self.pending]
        self.pending.clear()
        for i, loss in enumerate(losses):
            if not math.isfinite(loss):
                step = self.position.step - len(losses) + i + 1
                raise DivergedError(
                    f"step {step}: the loss is {loss}. Lower the learning rate, set clip_norm, or "
                    f"look for extreme values in the data; the last good checkpoint is in "
                    f"{self.directory / 'checkpoints'}."
                )
        self.position.loss_sum += math.fsum(losses)
        self.position.loss_count += len(losses)
        if losses:
            self.recent = math.fsum(losses) / len(losses)

    def _report(self) -> None:
        self._fetch()
        self.progress.update(self.position.step, self.total, self.recent, self._speed())

    def _speed(self) -> float:
        return self.amount / self.seconds if self.seconds else 0.0

    def _record(self) -> None:
        self._fetch()
        streaming = {metric.name: metric.result() for metric in self.metrics}
        for metric in self.metrics:
            metric.reset_state()
        speed = {f"{self.train.unit}_per_second": self._speed()}
        self.history.record(self.position, len(self.train), streaming, speed)

    def _evaluate(self, evaluation: BatchSource) -> None:
        metrics = self._judge(evaluation)
        position = self.position
        position.evaluated = position.step
        if self._recorded() != position.step:
            self._record()
        self.history.judged(position, metrics)
        self._compare(metrics)
        names = [self.metric, *(n for n in metrics if n not in (self.metric, self.task.loss))]
        values = [(name, metrics.get(name)) for name in names[:_SHOWN_METRICS]]
        shown = ", ".join(f"{name} {v:.4f}" for name, v in values if v is not None)
        best = " (best so far)" if position.best_step == position.step else ""
        self.progress.note(f"eval at step {position.step}: {shown}{best}")

    def _judge(self, evaluation: BatchSource) -> dict[str, float | None]:
        """The metrics of the model on the eval batches; the loss is a mean over their `unit`."""
        for metric in self.eval_metrics:
            metric.reset_state()
        state, losses, weights = None, [], []
        batches = self._distributed(
            "eval", evaluation, evaluation.dataset(), self._validate_on_replicas
        )
        for i, batch in enumerate(batches):
            logs = self.compiled["eval"](batch)
            losses.append(self.strategy.reduce("MEAN", logs[self.task.loss], axis=None))
            weights.append(evaluation.amount_in(i))
            outputs = tf.nest.map_structure(self.strategy.experimental_local_results, logs)
            state = self.task.aggregate_logs(state, outputs)
        mean = sum(float(x) * n for x, n in zip(losses, weights, strict=True)) / sum(weights)
        metrics: dict[str, Any] = {self.task.loss: mean}
        metrics.update({metric.name: metric.result() for metric in self.eval_metrics})
        metrics.update(self.task.reduce_aggregated_logs(state, self.step))
        return {name: finite(value) for name, value in metrics.items()}

    def _compare(self, metrics: dict[str, float | None]) -> None:
        """Keeps the best model; decides whether to stop."""
        if self.metric not in metrics:
            raise ConfigError(
                f"early_stopping.metric: got {self.metric!r}; takes one of {', '.join(metrics)}."
            )
        value, position, stopping = metrics[self.metric], self.position, self.config.early_stopping
        sign = 1.0 if self.mode == "max" else -1.0
        better = value is not None and (
            position.best is None or sign * (value - position.best) > stopping.min_delta
        )
        if better:
            position.best, position.best_step = value, position.step
            position.best_metrics, position.without_improvement = metrics, 0
            self.checkpoints.save_best()
            return
        position.without_improvement += 1
        if stopping.patience and position.without_improvement >= stopping.patience:
            best = (
                "never a number"
                if position.best is None
                else (f"best {position.best:.6g} at step {position.best_step}")
            )
            position.stopped = (
                f"{self.metric} did not improve in {position.without_improvement} evaluations "
                f"({best})"
            )

    def _result(self, resumed_from: int | None) -> FitResult:
        position = self.position
        return FitResult(
            model=self.model,
            history=position.history,
            steps=position.step,
            speed=self._speed(),
            unit=self.train.unit,
            resumed_from=resumed_from,
            stopped_early=position.stopped,
            best_step=position.best_step,
            best_metrics=position.best_metrics,
        )
