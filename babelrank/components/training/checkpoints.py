"""Checkpoints of a training: everything that is needed to go on at the exact step.

A checkpoint holds the model, the optimizer, the step, the metrics and the `Position`. It is
complete or absent: the file that names the newest checkpoint is replaced after all others are
written. The best model is kept separately, so that it stays when newer checkpoints push it out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError


@dataclass
class Position:
    """Where a training is, apart from its variables.

    Attributes:
        seed: Seed of the order of the data.
        data: What else the batches follow from; see `inputs.BatchSource.identity`.
        step: Steps taken.
        epoch: Epoch of the next batch.
        batch: Index of the next batch in its epoch.
        evaluated: Step of the last evaluation, or -1.
        best: Best value so far of the metric that is watched.
        best_step: Step of it.
        best_metrics: All eval metrics of that step.
        without_improvement: Evaluations since then.
        stopped: Why training stopped early, or None.
        loss_sum: Sum of the losses since the last record of the history.
        loss_count: Number of them.
        history: Records so far; see `loop.FitResult`.
    """

    seed: int
    data: dict[str, int | None]
    step: int = 0
    epoch: int = 0
    batch: int = 0
    evaluated: int = -1
    best: float | None = None
    best_step: int | None = None
    best_metrics: dict[str, float | None] = field(default_factory=dict)
    without_improvement: int = 0
    stopped: str | None = None
    loss_sum: float = 0.0
    loss_count: int = 0
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


class Checkpoints:
    """Saves and restores one training.

    Args:
        directory: Directory of the training; `checkpoints` and `best` are made in it.
        model: The model, with its variables built.
        optimizer: The optimizer.
        step: Scalar int64 variable that counts the steps.
        position: Where a new training starts.
        metrics: Streaming metrics of the training.
        keep: Number of newest checkpoints that are kept.
    """

    def __init__(
        self,
        directory: str | Path,
        model: tf.keras.Model,
        optimizer: Any,
        step: tf.Variable,
        position: Position,
        metrics: Sequence[tf.keras.metrics.Metric] = (),
        keep: int = 2,
    ) -> None:
        self._saved = _SavedPosition(position)
        self._step = step
        self._all = tf.train.Checkpoint(
            model=model,
            optimizer=optimizer,
            step=step,
            position=self._saved,
            metrics=list(metrics),
        )
        self._model_only = tf.train.Checkpoint(model=model)
        self._newest = tf.train.CheckpointManager(
            self._all, str(Path(directory) / "checkpoints"), max_to_keep=keep
        )
        self._best = tf.train.CheckpointManager(
            self._model_only, str(Path(directory) / "best"), max_to_keep=1
        )
        self.saved_at: int | None = None

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
        path = self._newest.latest_checkpoint
        if path is None:
            return None
        wanted = self.position
        try:
            self._all.restore(path).assert_existing_objects_matched()
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
        """Saves a checkpoint."""
        self._newest.save()
        self.saved_at = int(self._step.numpy())

    def save_best(self) -> None:
        """Keeps the current model as the best one."""
        self._best.save()

    def restore_best(self) -> bool:
        """Puts the best weights into the model; False if none were kept."""
        path = self._best.latest_checkpoint
        if path is None:
            return False
        self._model_only.read(path).assert_existing_objects_matched()
        return True
