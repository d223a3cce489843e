"""How far a run came, and what stopped it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from babelrank.components.evaluation.report import INTERRUPTED, StepSummary


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


def message(error: BaseException) -> str:
    """An error's text, without the step names that Beam appends."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    text = str(error).split(" [while running '")[0].strip()
    return text or type(error).__name__
