"""Which evaluation was the best so far, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping

from babelrank.components.errors import ConfigError
from babelrank.components.training.checkpoints import Position
from babelrank.components.training.config import EarlyStoppingConfig


class EarlyStopping:
    """Compares evaluations; what it knows is in the `Position`.

    Args:
        config: How many evaluations without improvement are too many.
        metric: The metric that is watched.
        mode: "max" if more of it is better, or "min".
    """

    def __init__(self, config: EarlyStoppingConfig, metric: str, mode: str) -> None:
        self._config, self._metric = config, metric
        self._sign = 1.0 if mode == "max" else -1.0

    def judged(self, position: Position, metrics: Mapping[str, float | None]) -> bool:
        """Takes note of an evaluation; true if it was the best so far.

        Raises:
            ConfigError: The metric is not among those of the evaluation.
        """
        if self._metric not in metrics:
            raise ConfigError(
                f"early_stopping.metric: got {self._metric!r}; takes one of {', '.join(metrics)}."
            )
        value = metrics[self._metric]
        if value is not None and self._improved(position, value):
            position.best, position.best_step = value, position.step
            position.best_metrics, position.without_improvement = dict(metrics), 0
            return True
        position.without_improvement += 1
        if self._config.patience and position.without_improvement >= self._config.patience:
            best = "never a number"
            if position.best is not None:
                best = f"best {position.best:.6g} at step {position.best_step}"
            position.stopped = (
                f"{self._metric} did not improve in {position.without_improvement} evaluations "
                f"({best})"
            )
        return False

    def _improved(self, position: Position, value: float) -> bool:
        if position.best is None:
            return True
        return self._sign * (value - position.best) > self._config.min_delta
