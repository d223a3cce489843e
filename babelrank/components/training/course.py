"""Which batch comes next in a training: step by step, epoch after epoch, some left out."""

from __future__ import annotations

from babelrank.components.training.checkpoints import Checkpoints, Position
from babelrank.components.training.inputs import BatchSource

_SHOWN_ROWS = 8


class Course:
    """Moves the position of a training over its batches.

    A cursor is the number of a batch through all epochs, `epoch * len(source) + index`.

    Args:
        checkpoints: Have the position.
        source: The training batches.
    """

    def __init__(self, checkpoints: Checkpoints, source: BatchSource) -> None:
        self._checkpoints, self._source = checkpoints, source

    @property
    def position(self) -> Position:
        """The position, which restoring a checkpoint replaces."""
        return self._checkpoints.position

    @property
    def cursor(self) -> int:
        """The next batch."""
        return self.position.epoch * len(self._source) + self.position.batch

    @property
    def epoch(self) -> float:
        """Passes over the data so far."""
        return self.cursor / len(self._source)

    def advance(self, count: int) -> int:
        """Takes `count` steps; what their batches held, in the source's unit."""
        amount = 0
        for _ in range(count):
            amount += self._source.amount_in(self.position.batch, self.position.epoch)
            self.position.step += 1
            self._move_to(self.cursor + 1)
        return amount

    def skip(self, cursor: int) -> None:
        """Leaves out a batch, from now on."""
        self.position.skipped.append(cursor)
        self._move_to(self.cursor)

    def restore(self) -> None:
        """Goes back to the last checkpoint, but remembers what was left out since."""
        skipped, rollbacks = self.position.skipped, self.position.rollbacks
        self._checkpoints.restore()
        self.position.skipped, self.position.rollbacks = skipped, rollbacks
        self._move_to(self.cursor)

    def before(self, step: int) -> int:
        """Cursor of the batch of an earlier step, counted from 1."""
        cursor = self.cursor
        for _ in range(self.position.step - step + 1):
            cursor -= 1
            while cursor in self.position.skipped:
                cursor -= 1
        return cursor

    def name(self, cursor: int) -> str:
        """A batch in words."""
        epoch, index = divmod(cursor, len(self._source))
        return f"epoch {epoch}, batch {index}"

    def rows(self, cursor: int) -> str:
        """The examples of a batch in words."""
        epoch, index = divmod(cursor, len(self._source))
        rows = self._source.rows_in(index, epoch)
        shown = ", ".join(str(row) for row in rows[:_SHOWN_ROWS])
        more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
        return f"rows {shown}{more} of {self._source.store.directory}"

    def _move_to(self, cursor: int) -> None:
        while cursor in self.position.skipped:
            cursor += 1
        self.position.epoch, self.position.batch = divmod(cursor, len(self._source))
