"""What a training came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf


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
        skipped: Batches that were left out since the loss diverged on them; "epoch 0, batch 7".
        resumed_from: Step of the checkpoint that this run began with, or None.
        stopped_early: Why training ended before the last step, or None.
        best_step: Step of the best evaluation, or None.
        best_metrics: Eval metrics of that step.
        privacy: What was spent, by `PrivateTraining.summary`; None without privacy.
    """

    model: tf.keras.Model
    history: list[dict[str, Any]]
    steps: int
    speed: float
    unit: str
    skipped: list[str]
    resumed_from: int | None
    stopped_early: str | None
    best_step: int | None
    best_metrics: dict[str, float | None]
    privacy: dict[str, Any] | None

    def figures(self) -> dict[str, Any]:
        """What the report should know beside the history."""
        return {
            f"{self.unit}_per_second": self.speed,
            "skipped": self.skipped,
            "privacy": self.privacy,
        }
