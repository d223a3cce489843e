"""Goes back to the last checkpoint when the loss is lost, and on without the batch that did it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from babelrank.components.errors import DivergedError
from babelrank.components.training.course import Course
from babelrank.components.training.divergence import Diverged


class Recovery:
    """The recoveries of one training.

    Args:
        course: Which batch comes next.
        most: How often training may go back.
        directory: Where the checkpoints are, for messages.
        rows_shown: Whether a message may name rows; samples of private training are secret.
    """

    def __init__(self, course: Course, most: int, directory: Path, rows_shown: bool) -> None:
        self._course, self._most = course, most
        self._directory, self._rows_shown = directory, rows_shown

    def go_back(self, lost: Diverged, culprit: Callable[[], int | None]) -> str:
        """Restores the last checkpoint and leaves out the batch that did it.

        Args:
            lost: What is wrong.
            culprit: Takes the steps after the checkpoint again, and returns the cursor of the
                first batch that does it; None if none does.

        Returns:
            What was done, for people.

        Raises:
            DivergedError: That was too often, or nothing was right from the beginning.
        """
        if not lost.step:
            raise self._failure(lost, None)
        if not self._most:
            raise self._failure(lost, self._course.before(lost.step) if lost.by_loss else None)
        self._course.restore()
        cursor = culprit()
        if self._course.position.rollbacks >= self._most:
            raise self._failure(lost, cursor)
        self._course.restore()
        position = self._course.position
        position.rollbacks += 1
        left_out = ""
        if cursor is not None:
            self._course.skip(cursor)
            left_out = f" without {self._course.name(cursor)}"
        return (
            f"{lost}; going on from step {position.step}{left_out} "
            f"(recovery {position.rollbacks} of {self._most})"
        )

    def _failure(self, lost: Diverged, cursor: int | None) -> DivergedError:
        where = ""
        if cursor is not None:
            rows = f" ({self._course.rows(cursor)})" if self._rows_shown else ""
            where = f", in {self._course.name(cursor)}{rows}"
        times = self._course.position.rollbacks
        kept = f"; the last good checkpoint is in {self._directory}" if lost.step else ""
        return DivergedError(
            f"{lost}{where}, after {times} {'recovery' if times == 1 else 'recoveries'}. Lower the "
            f"learning rate, set clip_norm, or look for extreme values in the data{kept}."
        )
