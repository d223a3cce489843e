"""Who settles things in a training: all its workers together, or the one that coordinates them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from babelrank.components.errors import WorkerLostError
from babelrank.components.training import strategy as strategies
from babelrank.components.training import workers
from babelrank.components.training.supervisor import Watched
from babelrank.components.training.workers import Workers

_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
"""What a step raises when a parameter server, or every worker, is gone."""


class Coordinated(Workers):
    """The workers of a training with parameter servers: this process alone settles things.

    Args:
        strategy: Their strategy.
        watched: Gets a sign of life now and then.
    """

    def any(self, flag: bool) -> bool:
        """See `Workers`."""
        return flag

    def gather(self, data: bytes) -> list[bytes]:
        """See `Workers`."""
        return [data]


@contextlib.contextmanager
def attended(strategy: tf.distribute.Strategy, timeout: float) -> Iterator[Workers | None]:
    """The workers of a strategy; None if there is one only.

    Args:
        strategy: The strategy.
        timeout: Seconds without a step after which `supervisor.supervise` ends this process.

    Raises:
        WorkerLostError: Within, something failed since another process is gone.
    """
    if not strategies.is_asynchronous(strategy):
        with workers.attended(strategy, timeout) as several:
            yield several
        return
    with Watched(timeout, "a training with parameter servers") as watched:
        try:
            yield Coordinated(strategy, watched)
        except _LOST as error:
            raise WorkerLostError(
                f"a parameter server of this training, or every worker, is gone: "
                f"{str(error).splitlines()[0][:300]} Look for the process whose log ends first; "
                f"started again, all of them go on from the last checkpoint."
            ) from error
