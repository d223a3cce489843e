"""The training loop: steps, evaluations, checkpoints, early stopping, resume at the exact batch.

Keras's `fit` cannot start in the middle of an epoch, does not feed `aggregate_logs`, and saves no
position in the data. Here the position is a batch of an epoch, and any batch can be fetched.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from babelrank.components.errors import Interrupted
from babelrank.components.training import privacy
from babelrank.components.training import progress as progress_displays
from babelrank.components.training import strategy as strategies
from babelrank.components.training.async_steps import steps_of
from babelrank.components.training.checkpoints import Checkpoints, Position
from babelrank.components.training.config import TrainingConfig
from babelrank.components.training.course import Course
from babelrank.components.training.divergence import Diverged, watch
from babelrank.components.training.early_stopping import EarlyStopping
from babelrank.components.training.history import History
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.interruption import StopRequest
from babelrank.components.training.judging import judge
from babelrank.components.training.private_training import PrivateTraining
from babelrank.components.training.progress import Progress
from babelrank.components.training.recovery import Recovery
from babelrank.components.training.result import FitResult
from babelrank.components.training.speed import Speed
from babelrank.components.training.task import Task
from babelrank.components.training.workers import Workers, attended

__all__ = ["FitResult", "fit"]

_RECORDS = 200  # points of the loss curve in the history
_SHOWN_METRICS = 4  # of an evaluation, on one line; the history has them all
_FETCH_STEPS = 50  # the loss leaves the device after so many steps ...
_FETCH_SECONDS = 1.0  # ... or so many seconds, whichever comes first
_CONSENT_STEPS = 10  # several workers ask each other so often whether one was told to stop


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

    A resumed training takes the same steps as one that was never interrupted. SIGTERM and Ctrl-C
    end the step and save a checkpoint. When the loss diverges, training goes back to the last
    checkpoint and leaves the batch out that did it.

    Args:
        task: What to train. Its `best_metric` picks the best checkpoint and stops early.
        config: How long and in what steps. What it says about batches, `train` has done already.
        train: Training batches.
        evaluation: Eval batches, or None for no evaluation; then the last weights are kept.
        directory: Gets `checkpoints`, `best`, `tensorboard` and `history.json`.
        strategy: Where steps run; None: as `config.strategy` says. With several workers all of
            them call this function, with a `directory` that they share.
        progress: Whom to tell; None: a bar on a terminal, lines in a log.

    Raises:
        ConfigError: The checkpoint in `directory` is of another training, or a metric is unknown.
        DivergedError: The loss was lost more often than `recovery.max_rollbacks`; names the step
            and the rows of the batch.
        CheckpointError: A checkpoint cannot be written.
        DeviceError: A device that the configuration asks for is not there.
        WorkerLostError: Another worker is gone.
        Interrupted: A signal asked to stop; the same call goes on.
    """
    display = progress or progress_displays.default()
    strategy = strategy or strategies.create(config.strategy).strategy
    timeout = config.strategy.worker_timeout
    with StopRequest() as stop, attended(strategy, timeout) as workers:
        loop = _Loop(
            task, config, train, evaluation, Path(directory), strategy, display, stop, workers
        )
        return loop.run()


class _Loop:
    def __init__(
        self,
        task: Task,
        config: TrainingConfig,
        train: BatchSource,
        evaluation: BatchSource | None,
        directory: Path,
        strategy: tf.distribute.Strategy,
        progress: Progress,
        stop: StopRequest,
        workers: Workers | None,
    ) -> None:
        self.task, self.config, self.train, self.evaluation = task, config, train, evaluation
        self.progress, self.stop, self.workers = progress, stop, workers
        self.private: PrivateTraining | None = None
        self.total = config.steps or config.epochs * len(train)
        if config.privacy is not None:
            self.private = PrivateTraining(config, train, strategy, workers)
            self.total = self.private.steps_within(self.total)
        self.metric = config.early_stopping.metric or task.best_metric
        mode = task.metric_mode(self.metric)
        self.stopping = EarlyStopping(config.early_stopping, self.metric, mode)
        self.at_once = strategies.steps_at_once(strategy, config.steps_per_execution)
        self.every = {
            "record": max(self.at_once, self.total // _RECORDS),
            "evaluate": config.evaluate_every or len(train),
            "save": config.checkpoint_interval,
            "ask": max(self.at_once, _CONSENT_STEPS) if self.workers else 1,
        }
        plan = self.private.plan() if self.private else None
        self.steps = steps_of(strategy)(task, config, strategy, self.total, train.varied, plan)
        chief = strategies.is_chief(strategy)
        self.checkpoints = Checkpoints(
            directory,
            self.steps.model,
            self.steps.optimizer,
            self.steps.step,
            Position(seed=config.seed, data=train.identity),
            self.steps.metrics,
            {"secrets": self.private.secrets} if self.private else {},
            chief=chief,
        )
        self._set_course(train)
        self.history = History(directory, config.tensorboard, chief)
        self.pending: list[tf.Tensor] = []  # losses that are still on the device
        self.fetched, self.recent = time.monotonic(), math.nan
        self.speed = Speed()

    @property
    def position(self) -> Position:
        return self.checkpoints.position

    def run(self) -> FitResult:
        resumed_from = self.checkpoints.restore()
        if resumed_from is None:
            self.task.initialize(self.steps.model)
            self.steps.start_average()
        if self.workers:
            source = self.task.started.source if self.task.started else None
            self.workers.check_equal("the training begins", [resumed_from, source])
        if self.private:
            self._begin_in_private(self.private)
        with contextlib.ExitStack() as stack:
            stack.callback(self.progress.close)
            stack.enter_context(contextlib.closing(self.history))
            self.progress.start(self.position.step, self.total, self.train.unit)
            for sentence in self.task.started.sentences() if self.task.started else ():
                self.progress.note(f"training: {sentence}")
            if resumed_from:
                self.progress.note(f"training: resumed at step {resumed_from}")
            try:
                self._run()
            except Interrupted:
                raise
            except KeyboardInterrupt:  # from whoever is told of the progress
                if not self.stop.urgent:
                    with contextlib.suppress(Diverged):
                        self._save()
                raise
        if not self.checkpoints.restore_best():
            self.steps.keep_average()
        if self.workers:  # or one would be gone while others still read what it wrote
            self.workers.any(False)
        return self._result(resumed_from)

    def _set_course(self, train: BatchSource) -> None:
        self.train, self.course = train, Course(self.checkpoints, train)
        most, directory = privacy.max_rollbacks(self.config), self.checkpoints.directory
        self.recovery = Recovery(self.course, most, directory, rows_shown=self.private is None)

    def _begin_in_private(self, private: PrivateTraining) -> None:
        privacy.check_model(self.steps.model)
        self._set_course(private.samples())
        if private.warning:
            self.progress.note(f"training: {private.warning}")

    def _run(self) -> None:
        while True:
            try:
                self._run_steps()
                return
            except Diverged as lost:
                self._go_back(lost)

    def _run_steps(self) -> None:
        batches: Iterator[Any] | None = None
        while True:
            self._do_what_is_due()
            step = self.position.step
            if step >= self.total or self.position.stopped:
                return
            batches = batches or self._batches()
            self._take_steps(batches, self._until_due(step))
            self._look_at_losses()

    def _do_what_is_due(self) -> None:
        step = self.position.step
        if step and self._due("record", step) and self._recorded() != step:
            self._record()
        unjudged = step and self.position.evaluated != step
        if self.evaluation and unjudged and self._due("evaluate", step):
            self._evaluate(self.evaluation)
            self._save()
        elif self._due("save", step) and self.checkpoints.saved_at != step:
            self._save()
        if self._due("ask", step) and self._asked_to_stop():
            if self.checkpoints.saved_at != step:
                self._save()
            raise self._interrupted()

    def _interrupted(self) -> Interrupted:
        return Interrupted(
            f"training stopped at step {self.position.step} of {self.total}, as asked"
        )

    def _due(self, event: str, step: int) -> bool:
        return step >= self.total or step % self.every[event] == 0

    def _until_due(self, step: int) -> int:
        """Steps to take before something has to be done; 1 or more."""
        events = [event for event in self.every if event != "ask" or self.workers]
        waits = (self.every[event] - step % self.every[event] for event in events)
        return min(self.at_once, self.total - step, *waits)

    def _asked_to_stop(self) -> bool:
        asked = self.stop.asked is not None
        return self.workers.any(asked) if self.workers else asked

    def _batches(self) -> Iterator[Any]:
        position = self.position
        return iter(
            self.steps.batches(
                "train", self.train, position.epoch, position.batch, None, position.skipped
            )
        )

    def _take_steps(self, batches: Iterator[Any], count: int) -> None:
        with self.speed.measured():
            self.pending.append(self.steps.train(batches, count))
        self.speed.add(self.course.advance(count))
        if self.workers:
            self.workers.alive()

    def _recorded(self) -> int | None:
        """Step of the last record."""
        return self.position.history[-1]["step"] if self.position.history else None

    def _save(self) -> None:
        self._fetch()
        if not self.steps.finite():
            raise Diverged(self.position.step, "weights are no finite numbers", by_loss=False)
        self.checkpoints.save()
        self.history.write(self.position)
        self.fetched = time.monotonic()

    def _look_at_losses(self) -> None:
        # Several workers have to do it at the same step, whatever their clocks say.
        waited = not self.workers and time.monotonic() - self.fetched >= _FETCH_SECONDS
        if waited or len(self.pending) >= _FETCH_STEPS or self.position.step == self.total:
            self._fetch()
            self.progress.update(self.position.step, self.total, self.recent, self.speed.value)

    def _fetch(self) -> None:
        """Takes the losses of the last steps from the device."""
        self.fetched = time.monotonic()
        if not self.pending:
            return
        with self.speed.measured():  # a GPU may have taken the steps on paper only
            losses = [float(loss) for tensor in self.pending for loss in tensor.numpy()]
        self.pending.clear()
        for i, loss in enumerate(losses):
            step = self.position.step - len(losses) + i + 1
            watch(self.position, step, loss, self.config.recovery)
        self.position.loss_sum += math.fsum(losses)
        self.position.loss_count += len(losses)
        self.recent = math.fsum(losses) / len(losses)

    def _go_back(self, lost: Diverged) -> None:
        self.pending.clear()
        note = self.recovery.go_back(lost, lambda: self._culprit(lost.step))
        self.pending.clear()
        self.progress.note(f"training: {note}")

    def _culprit(self, step: int) -> int | None:
        """Cursor of the first batch up to a step that loses the loss; None if none does again."""
        batches = self._batches()
        while self.position.step < step:
            if self._due("ask", self.position.step) and self._asked_to_stop():
                raise self._interrupted()  # without a checkpoint: the one before it is the good one
            cursor = self.course.cursor
            try:
                self._take_steps(batches, 1)
                self._fetch()
            except Diverged:
                return cursor
            if not self.steps.finite():
                return cursor
        return None

    def _record(self) -> None:
        self._fetch()
        speed = {f"{self.train.unit}_per_second": self.speed.value}
        self.history.record(self.position, self.course.epoch, self.steps.streaming(), speed)

    def _evaluate(self, evaluation: BatchSource) -> None:
        with self.steps.averaged():
            metrics = judge(self.task, self.steps, evaluation, self.workers)
            if self.workers:  # what follows from them has to be the same on all
                metrics = self.workers.of_first(metrics)
            position = self.position
            position.evaluated = position.step
            if self._recorded() != position.step:
                self._record()
            spent = {"epsilon": self.private.epsilon(position.step)} if self.private else {}
            self.history.judged(position, metrics, spent)
            if self.stopping.judged(position, metrics):
                self.checkpoints.save_best()
        names = [self.metric, *(n for n in metrics if n not in (self.metric, self.task.loss))]
        values = [(name, metrics.get(name)) for name in names[:_SHOWN_METRICS]]
        values += spent.items()
        shown = ", ".join(f"{name} {v:.4f}" for name, v in values if v is not None)
        best = " (best so far)" if position.best_step == position.step else ""
        self.progress.note(f"eval at step {position.step}: {shown}{best}")

    def _result(self, resumed_from: int | None) -> FitResult:
        position = self.position
        return FitResult(
            model=self.steps.model,
            history=position.history,
            steps=position.step,
            speed=self.speed.value,
            unit=self.train.unit,
            skipped=[self.course.name(cursor) for cursor in position.skipped],
            resumed_from=resumed_from,
            stopped_early=position.stopped,
            best_step=position.best_step,
            best_metrics=position.best_metrics,
            privacy=self.private.summary(position.step) if self.private else None,
        )
