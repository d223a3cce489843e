"""Checkpoints: model, optimizer, step, position in the data, state of early stopping.

A checkpoint is a folder `step-000001000` that is complete or absent: it is written under another
name, forced to the disk, and renamed. The best model is kept separately, so that it stays when
newer checkpoints push it out.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from babelrank.components import durable
from babelrank.components.errors import CheckpointError, ConfigError

_PREFIX = "ckpt"
_UNFINISHED = ".unfinished-"


@dataclass
class Position:
    """Where a training is, apart from its variables.

    Attributes:
        seed: Seed of the order of the data.
        data: What else the batches follow from; see `inputs.BatchSource.identity`.
        step: Steps taken.
        epoch: Epoch of the next batch.
        batch: Index of the next batch in its epoch.
        skipped: Batches that were left out, by `epoch * batches_per_epoch + index`.
        evaluated: Step of the last evaluation, or -1.
        best: Best value so far of the metric that is watched.
        best_step: Step of it.
        best_metrics: All eval metrics of that step.
        without_improvement: Evaluations since then.
        stopped: Why training stopped early, or None.
        loss_sum: Sum of the losses since the last record of the history.
        loss_count: Number of them.
        first: Mean loss of the first steps.
        typical: Moving average of the loss.
        rollbacks: How often training went back to a checkpoint.
        history: Records so far; see `loop.FitResult`.
    """

    seed: int
    data: dict[str, int | None]
    step: int = 0
    epoch: int = 0
    batch: int = 0
    skipped: list[int] = field(default_factory=list)
    evaluated: int = -1
    best: float | None = None
    best_step: int | None = None
    best_metrics: dict[str, float | None] = field(default_factory=dict)
    without_improvement: int = 0
    stopped: str | None = None
    loss_sum: float = 0.0
    loss_count: int = 0
    first: float = 0.0
    typical: float = 0.0
    rollbacks: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class _SavedPosition(tf.train.experimental.PythonState):  # type: ignore[misc]
    """A `Position` as a string in a `tf.train.Checkpoint`."""

    def __init__(self, position: Position) -> None:
        super().__init__()
        self.position = position

    def serialize(self) -> str:
        """The position as JSON."""
        return json.dumps(asdict(self.position))

    def deserialize(self, string_value: Any) -> None:
        """Replaces the position by one that `serialize` wrote.

        Raises:
            ValueError: Another version of BabelRank wrote it.
        """
        try:
            self.position = Position(**json.loads(string_value))
        except TypeError as error:
            raise ValueError(f"it is of another version of BabelRank ({error}).") from error


class CheckpointFolder:
    """The checkpoints of one kind, by step.

    Args:
        directory: Where they are.
        saved: What they hold.
        keep: Number of newest ones that are kept.
        chief: Whether this process keeps what it writes; of several workers all write, since the
            values of some variables are gathered from all of them, and one keeps it.
    """

    def __init__(
        self, directory: Path, saved: tf.train.Checkpoint, keep: int, chief: bool = True
    ) -> None:
        self.directory, self._saved, self._keep, self._chief = directory, saved, keep, chief

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, rising."""
        names = (path.name for path in self.directory.glob("step-*"))
        return sorted(int(name.removeprefix("step-")) for name in names)

    def prefix(self, step: int) -> str:
        """What `tf.train.Checkpoint.read` takes."""
        return str(self._folder(step) / _PREFIX)

    def write(self, step: int) -> None:
        """Writes a checkpoint and removes those that are too many.

        Raises:
            CheckpointError: It could not be written; the ones before are as they were.
        """
        try:
            if self._chief:
                self._write(step)
            else:
                with tempfile.TemporaryDirectory() as elsewhere:
                    self._saved.write(os.path.join(elsewhere, _PREFIX))
        except (OSError, tf.errors.OpError) as error:
            raise CheckpointError(
                f"{self._folder(step)}: cannot be written: {_first_line(error)} The checkpoint "
                f"before is whole. Make room, or take another folder; the same call goes on."
            ) from error

    def _write(self, step: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._tidy()
        scratch = self.directory / f"{_UNFINISHED}{os.getpid()}"
        try:
            self._saved.write(str(scratch / _PREFIX))
            _publish(scratch, self._folder(step))
        except (OSError, tf.errors.OpError):
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        for old in self.steps()[: -self._keep]:
            shutil.rmtree(self._folder(old))

    def _tidy(self) -> None:
        """Removes what writers that were killed left behind."""
        for path in self.directory.glob(_UNFINISHED + "*"):
            shutil.rmtree(path, ignore_errors=True)

    def _folder(self, step: int) -> Path:
        return self.directory / f"step-{step:09d}"


def _publish(scratch: Path, folder: Path) -> None:
    """Gives a written folder its name, when all of it is on the disk."""
    for path in (*scratch.iterdir(), scratch):
        durable.sync(path)
    if folder.exists():  # the same step, of an attempt that this one repeats
        aside = scratch.with_name(f"{scratch.name}-replaced")
        os.rename(folder, aside)
        try:
            os.rename(scratch, folder)
        except OSError:
            os.rename(aside, folder)
            raise
        shutil.rmtree(aside)
    else:
        os.rename(scratch, folder)
    durable.sync(folder.parent)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return text if text.endswith(".") else f"{text}."


class Checkpoints:
    """Saves and restores one training.

    Args:
        directory: Directory of the training; `checkpoints` and `best` are made in it.
        model: The model, with its variables built.
        optimizer: The optimizer.
        step: Scalar int64 variable that counts the steps.
        position: Where a new training starts.
        metrics: Streaming metrics of the training.
        extra: What else has to come back, by name.
        keep: Number of newest checkpoints that are kept.
        chief: See `CheckpointFolder`.
    """

    def __init__(
        self,
        directory: str | Path,
        model: tf.keras.Model,
        optimizer: Any,
        step: tf.Variable,
        position: Position,
        metrics: Sequence[tf.keras.metrics.Metric] = (),
        extra: dict[str, Any] | None = None,
        keep: int = 2,
        chief: bool = True,
    ) -> None:
        self._saved = _SavedPosition(position)
        self._step = step
        self._all = tf.train.Checkpoint(
            model=model,
            optimizer=optimizer,
            step=step,
            position=self._saved,
            metrics=list(metrics),
            **(extra or {}),
        )
        self._model_only = tf.train.Checkpoint(model=model)
        self._newest = CheckpointFolder(Path(directory) / "checkpoints", self._all, keep, chief)
        # Two: the position that names the newer one is saved only after it.
        self._best = CheckpointFolder(Path(directory) / "best", self._model_only, 2, chief)
        self.saved_at: int | None = None

    @property
    def directory(self) -> Path:
        """Where the newest ones are."""
        return self._newest.directory

    @property
    def position(self) -> Position:
        """The current position; the loop changes it in place."""
        return self._saved.position

    def restore(self) -> int | None:
        """Restores the newest checkpoint.

        Returns:
            Its step, or None when there is none.

        Raises:
            ConfigError: It belongs to another model, or to other data, batches or seed.
        """
        steps = self._newest.steps()
        if not steps:
            return None
        path = self._newest.prefix(steps[-1])
        wanted = self.position
        try:
            self._all.read(path).assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise ConfigError(
                f"{path}: does not fit the model: {str(error)[:500]} Delete the directory to start "
                f"anew, or take back the changes of the configuration."
            ) from error
        before = {"seed": self.position.seed, **self.position.data}
        for name, now in {"seed": wanted.seed, **wanted.data}.items():
            was = before.get(name)
            if was != now:
                raise ConfigError(
                    f"{path}: {name} was {was} and now is {now}, so training cannot go on from it. "
                    f"Delete the directory to start anew, or take back the change."
                )
        self.saved_at = int(self._step.numpy())
        return self.saved_at

    def save(self) -> None:
        """Saves a checkpoint. Raises as `CheckpointFolder.write`."""
        step = int(self._step.numpy())
        self._newest.write(step)
        self.saved_at = step

    def save_best(self) -> None:
        """Keeps the current model as the best one. Raises as `CheckpointFolder.write`."""
        self._best.write(int(self._step.numpy()))

    def restore_best(self) -> bool:
        """Puts the weights of `position.best_step` into the model; False if there is none."""
        step = self.position.best_step
        if step is None:
            return False
        self._model_only.read(self._best.prefix(step)).assert_existing_objects_matched()
        return True
