"""Runs single trials of a search: from a proposal to the metrics of the eval split.

Hyperband trains a trial up to some epoch and may go on with it later: then a new trial takes over
the checkpoints of the old one, and nothing is trained twice. All trials have the learning rate of
the full training, however early they end: were it to fall to 0 at the end of each trial, it would
have to rise again where a trial goes on. Early in a long decay the rates are high, so trials that
need a decayed rate look worse there than they are; that is Hyperband's bet.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from babelrank.components.errors import InputError
from babelrank.components.training.config import TrainingConfig
from babelrank.components.training.loop import fit
from babelrank.components.training.progress import Progress
from babelrank.components.training.task import Task
from babelrank.pipelines.budget import shortened
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.search import Proposal, Trained, TrialError
from babelrank.pipelines.search_space import configured
from babelrank.pipelines.trial_parts import Examples, Parts, parts

KEPT = ("history.json", "tensorboard")
"""What stays of a trial's folder when the trial has ended."""

STORES = "examples"
"""Folder of the examples as columns, beside those of the trials."""

_UNFINISHED = ".unfinished-"


class Trials:
    """Trains the trials of a search.

    Args:
        config: What all trials have in common.
        examples: What Transform left.
        directory: Gets a folder for each trial, `0001` and so on.
        beam: See `trial_parts.parts`.
        progress: Makes what a training reports to.
    """

    def __init__(
        self,
        config: PipelineConfig,
        examples: Examples,
        directory: Path,
        beam: bool,
        progress: Callable[[], Progress],
    ) -> None:
        self._config, self._examples, self._beam = config, examples, beam
        self._directory, self._progress = directory, progress

    def train(self, proposal: Proposal) -> Trained:
        """Trains a trial, or goes on with it if it was interrupted.

        Raises:
            ConfigError: Its values do not fit each other.
            DivergedError: Its loss is no number any more.
            TrialError: It needs more memory than there is, or leaves nothing to train on.
        """
        config = configured(self._config, proposal.values)
        folder = self._folder(proposal.number)
        if proposal.continues is not None and not folder.exists():
            _copy(self._folder(proposal.continues), folder)
        tf.keras.backend.clear_session()  # the trials before leave their graphs behind
        gc.collect()
        made = self._parts(config)
        training: TrainingConfig = config.training
        if proposal.epochs is not None:
            steps = training.steps or training.epochs * len(made.train)
            set_schedule(made.task, steps)
            training = shortened(training, proposal.epochs)
        try:
            result = fit(
                made.task, training, made.train, made.evaluation, folder, progress=self._progress()
            )
        except tf.errors.ResourceExhaustedError as error:
            if "No space left" in str(error):
                raise
            raise TrialError(f"not enough memory: {error.message[:300]}") from error
        return Trained(
            metrics=result.best_metrics,
            best_step=result.best_step,
            steps=result.steps,
            stopped_early=result.stopped_early,
        )

    def tidy(self, *numbers: int) -> None:
        """Removes what only going on with these trials would need."""
        for number in numbers:
            folder = self._folder(number)
            for path in folder.iterdir() if folder.exists() else ():
                if path.name in KEPT:
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def finish(self, count: int) -> None:
        """Removes what only going on with the search would need, `count` trials long."""
        self.tidy(*range(1, count + 1))
        shutil.rmtree(self._directory / STORES, ignore_errors=True)
        for path in self._directory.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(path, ignore_errors=True)

    def _parts(self, config: PipelineConfig) -> Parts:
        try:
            return parts(config, self._examples, self._directory / STORES, self._beam)
        except InputError as error:  # the examples are there, so it is the values
            raise TrialError(str(error)) from error

    def _folder(self, number: int) -> Path:
        return self._directory / f"{number:04}"


def set_schedule(task: Task, steps: int) -> None:
    """Lets the task's learning rates warm up and decay over `steps`, wherever training ends."""
    create = task.create_optimizer

    def create_optimizer(config: Any, *more: Any, **named: Any) -> Any:
        if isinstance(config, TrainingConfig):
            config = dataclasses.replace(config, steps=steps)
        return create(config, *more, **named)

    task.create_optimizer = create_optimizer  # type: ignore[method-assign, assignment]


def _copy(source: Path, target: Path) -> None:
    """Copies a trial's folder; complete or absent."""
    scratch = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=target.parent))
    shutil.copytree(source, scratch, dirs_exist_ok=True)
    os.replace(scratch, target)
