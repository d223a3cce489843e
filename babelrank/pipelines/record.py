"""How far a run came, and what stopped it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from babelrank.components.evaluation.report import INTERRUPTED, StepSummary

_log = logging.getLogger(__name__)


@dataclass
class RunRecord:
    """How far a run came.

    Attributes:
        run_id: Identifies the run in ML Metadata.
        started: When, in seconds since the epoch.
        steps: One entry for each step, in order.
        error: What ended the run, if it did not come to the end.
    """

    run_id: str
    started: float = field(default_factory=time.time)
    steps: list[StepSummary] = field(default_factory=list)
    error: BaseException | None = None

    def fail(self, name: str, error: BaseException) -> None:
        """Adds an entry for what failed and is no step that people see, where the run stopped."""
        done = sum(step.state != "not reached" for step in self.steps)
        self.steps.insert(done, StepSummary(name=name, state="failed", error=message(error)))
        _log.error("%s failed: %s", name, message(error))


def message(error: BaseException) -> str:
    """An error's text, without the step names that Beam appends."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    text = str(error).split(" [while running '")[0].strip()
    return text or type(error).__name__
