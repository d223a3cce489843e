"""What a training leaves to read: `history.json` and TensorBoard summaries."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from babelrank.components.errors import CheckpointError
from babelrank.components.training.checkpoints import Position


class History:
    """Writes the records of a training, which live in its `Position`.

    Args:
        directory: Gets `history.json`, and `tensorboard` if `summaries`.
        summaries: Whether to write TensorBoard summaries.
        writes: Whether this process writes anything; of several workers one does.
    """

    def __init__(self, directory: Path, summaries: bool, writes: bool = True) -> None:
        self._path, self._writes = directory / "history.json", writes
        self._writer: Any = None
        if summaries and writes:
            self._writer = tf.summary.create_file_writer(str(directory / "tensorboard"))

    def record(
        self,
        position: Position,
        epoch: float,
        metrics: Mapping[str, Any],
        speed: Mapping[str, float],
    ) -> None:
        """Adds a record with the mean loss since the last one; the speed, by its unit, is only
        summarised, since it is no part of what a resumed training repeats.
        """
        mean = position.loss_sum / max(1, position.loss_count)
        scalars: dict[str, float | None] = {"loss": mean}
        scalars.update({name: finite(value) for name, value in metrics.items()})
        position.history.append({"step": position.step, "epoch": epoch, **scalars})
        position.loss_sum, position.loss_count = 0.0, 0
        self._summarize("train", position.step, {**scalars, **speed})

    def judged(
        self,
        position: Position,
        metrics: Mapping[str, float | None],
        spent: Mapping[str, float],
    ) -> None:
        """Adds the eval metrics to the last record, and what privacy was spent, if any."""
        position.history[-1]["eval"] = dict(metrics)
        position.history[-1].update(spent)
        self._summarize("eval", position.step, {**metrics, **spent})

    def write(self, position: Position) -> None:
        """Replaces `history.json`.

        Raises:
            CheckpointError: It could not be written.
        """
        if not self._writes:
            return
        scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            scratch.write_text(json.dumps(position.history, indent=1), encoding="utf-8")
            os.replace(scratch, self._path)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise CheckpointError(
                f"{self._path}: cannot be written: {error}. The checkpoints are whole. Make room, "
                f"or take another folder; the same call goes on."
            ) from error

    def close(self) -> None:
        """Closes the summaries."""
        if self._writer is not None:
            self._writer.close()

    def _summarize(self, group: str, step: int, scalars: Mapping[str, float | None]) -> None:
        if self._writer is None:
            return
        with self._writer.as_default(step=step):
            for name, value in scalars.items():
                if value is not None:
                    tf.summary.scalar(f"{group}/{name}", value)


def finite(value: Any) -> float | None:
    """A float, or None for NaN and infinity, which JSON lacks."""
    number = float(value)
    return number if math.isfinite(number) else None
