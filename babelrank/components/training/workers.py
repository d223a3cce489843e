"""Several workers of one training: what they settle together, and how they notice a lost one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from babelrank.components.errors import BabelRankError, WorkerLostError
from babelrank.components.training import strategy as strategies
from babelrank.components.training.supervisor import Watched

_LONG = 3600.0  # seconds that one worker may take for its export
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
    tf.errors.CancelledError,
)
"""What operations that several workers do together raise when one of them is gone."""


class Workers:
    """The workers of a training; all of them must make the same calls.

    Args:
        strategy: Their strategy.
        watched: Gets a sign of life now and then.
    """

    def __init__(self, strategy: tf.distribute.Strategy, watched: Watched) -> None:
        self._strategy = strategy
        self._compiled: Any = None
        self.alive = watched.alive

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any worker; also a point that all have to reach."""
        return bool(self._sum(self._spoken(np.array([flag], np.int64), 0)))

    def gather(self, data: bytes) -> list[bytes]:
        """The data of all workers, in their order."""
        words = np.frombuffer(data + bytes(-len(data) % 8), np.int64)
        lengths = self._gathered(np.array([len(data), len(words)])).reshape([-1, 2])
        everything = self._gathered(words)
        parts = np.split(everything, np.cumsum(lengths[:, 1])[:-1])
        return [part.tobytes()[:n] for part, n in zip(parts, lengths[:, 0], strict=True)]

    def of_first(self, value: Any) -> Any:
        """What the first worker has; plain data."""
        return json.loads(self.gather(json.dumps(value).encode())[0])

    def check_equal(self, what: str, value: Any) -> None:
        """Looks whether all workers have the same.

        Raises:
            BabelRankError: They do not.
        """
        values = [json.loads(found) for found in self.gather(json.dumps(value).encode())]
        if any(found != values[0] for found in values):
            raise BabelRankError(
                f"{what} differently on the workers, by their order {values}: do they see the same "
                f"files? Start all of them again."
            )

    def _sum(self, values: Any) -> tf.Tensor:
        if self._compiled is None:
            self._compiled = tf.function(
                lambda v: self._strategy.reduce(tf.distribute.ReduceOp.SUM, v, axis=None),
                autograph=False,
            )
        return self._compiled(values)

    def _gathered(self, data: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        values = self._spoken(data, None)
        gathered: npt.NDArray[np.int64] = self._strategy.gather(values, axis=0).numpy()
        return gathered

    def _spoken(self, data: npt.NDArray[np.int64], otherwise: int | None) -> Any:
        """The data as a value by replica: of several replicas of a worker the first has them.

        Args:
            data: The data, [n].
            otherwise: What the others have n times; None: they have nothing, [0].
        """
        here = self._strategy.num_replicas_in_sync // strategies.worker_count(self._strategy)
        silence = data[:0] if otherwise is None else np.full_like(data, otherwise)

        def of_replica(context: tf.distribute.ValueContext) -> tf.Tensor:
            return tf.constant(silence if context.replica_id_in_sync_group % here else data)

        return self._strategy.experimental_distribute_values_from_function(of_replica)


class Coordinated(Workers):
    """The workers of a training with parameter servers: this process alone settles things."""

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
    asynchronous = strategies.is_asynchronous(strategy)
    if strategies.worker_count(strategy) == 1 and not asynchronous:
        yield None
        return
    kind, lost = Workers, "a worker"
    if asynchronous:
        kind, lost = Coordinated, "a parameter server, or every worker,"
    with Watched(timeout, "a training of several processes") as watched:
        try:
            yield kind(strategy, watched)
        except _LOST as error:
            raise WorkerLostError(
                f"{lost} of this training is gone: {str(error).splitlines()[0][:300]} Look for the "
                f"process whose log ends first; started again, all of them go on from the last "
                f"checkpoint."
            ) from error


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers have called this or are gone; at once if there is one only.

    A worker that ends while others still work would be taken for lost. Whoever comes here has
    nothing left to do, so that it does not matter who ends first then.
    """
    with contextlib.suppress(WorkerLostError), attended(strategy, _LONG) as workers:
        if workers:
            workers.any(False)
