"""When the loss of a training counts as lost: no number, or far above what it was."""

from __future__ import annotations

import math

from babelrank.components.training.checkpoints import Position
from babelrank.components.training.config import RecoveryConfig

_FIRST = 20  # steps whose mean loss is what training began with
_MEMORY = 0.98  # of the moving average


class Diverged(Exception):
    """A step after which the training cannot go on.

    Attributes:
        step: Number of the step, from 1.
        by_loss: Whether the loss of that step told, and not the weights some steps later.
    """

    def __init__(self, step: int, reason: str, by_loss: bool = True) -> None:
        super().__init__(f"step {step}: {reason}")
        self.step, self.by_loss = step, by_loss


def watch(position: Position, step: int, loss: float, config: RecoveryConfig) -> None:
    """Looks at the loss of a step and keeps the averages in `position`.

    A loss has exploded when it is `loss_factor` times the larger of the mean loss of the first 20
    steps and the recent mean: a loss that has come close to 0 may well jump.

    Raises:
        Diverged: The loss is no finite number, or has exploded.
    """
    if not math.isfinite(loss):
        raise Diverged(step, f"the loss is {loss}")
    usual = max(position.first, position.typical)
    if config.loss_factor is not None and step > _FIRST and loss > config.loss_factor * usual > 0:
        raise Diverged(step, f"the loss is {loss:.6g}, usual was {usual:.6g}")
    if step <= _FIRST:
        position.first += (loss - position.first) / step
        position.typical = position.first
    else:
        position.typical = _MEMORY * position.typical + (1 - _MEMORY) * loss
