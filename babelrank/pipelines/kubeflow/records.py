"""Runs, recurring runs and versions of pipelines, as Kubeflow Pipelines tells of them."""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import dataclass
from typing import Any

SUCCEEDED = "SUCCEEDED"
ENDED = (SUCCEEDED, "SKIPPED", "FAILED", "CANCELED")
"""States that do not change any more."""


@dataclass(frozen=True)
class Version:
    """A version of a pipeline.

    Attributes:
        pipeline: Id of the pipeline.
        version: Id of the version.
        name: Name of the version.
        new: Whether it was uploaded now.
    """

    pipeline: str
    version: str
    name: str
    new: bool


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A run to be made, once or again and again.

    Attributes:
        name: Its name.
        version: What runs.
        experiment: Id of the experiment.
        parameters: Values of the pipeline's parameters.
        service_account: Of the pods; None: Kubeflow Pipelines' own.
        description: More about it.
    """

    name: str
    version: Version
    experiment: str
    parameters: dict[str, Any]
    service_account: str | None = None
    description: str | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of a run.

    Attributes:
        identity: Id.
        name: As the pipeline has it.
        state: As a run's.
        seconds: How long it took; None: not known.
        error: What went wrong; empty: nothing.
    """

    identity: str
    name: str
    state: str
    seconds: float | None
    error: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run.

    Attributes:
        identity: Id.
        name: Name.
        state: PENDING, RUNNING, SUCCEEDED, SKIPPED, FAILED, CANCELING, CANCELED or PAUSED.
        created: When it was made.
        finished: When it ended; None: not yet.
        parameters: Values of the pipeline's parameters.
        recurring: Id of the recurring run that made it; empty: somebody did.
        error: What went wrong; empty: nothing.
        tasks: Its tasks, also Kubeflow's own.
    """

    identity: str
    name: str
    state: str
    created: datetime.datetime | None
    finished: datetime.datetime | None
    parameters: dict[str, Any]
    recurring: str
    error: str
    tasks: tuple[Task, ...]

    @classmethod
    def of(cls, found: Any) -> Run:
        """A run from the client's."""
        details = found.run_details
        return cls(
            identity=found.run_id,
            name=found.display_name,
            state=found.state or "PENDING",
            created=_time(found.created_at),
            finished=_time(found.finished_at),
            parameters=dict((found.runtime_config and found.runtime_config.parameters) or {}),
            recurring=found.recurring_run_id or "",
            error=_error(found),
            tasks=tuple(map(_task, (details and details.task_details) or ())),
        )

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state in ENDED

    @property
    def reads(self) -> str:
        """What the run reads: a span, the day of a schedule, or the newest span."""
        with contextlib.suppress(TypeError, ValueError):  # of somebody else's pipeline
            span = int(self.parameters.get("span", -1))
            if span >= 0:
                return f"span {span}"
        day = _scheduled(str(self.parameters.get("scheduled", "")))
        return f"scheduled {day}" if day else "newest"


@dataclass(frozen=True, kw_only=True)
class Recurring:
    """A recurring run.

    Attributes:
        identity: Id.
        name: Name.
        description: What `babelrank schedule` wrote, or somebody else.
        enabled: Whether it is switched on.
        cron: When, six fields with the seconds first; empty: by another trigger.
    """

    identity: str
    name: str
    description: str
    enabled: bool
    cron: str

    @classmethod
    def of(cls, found: Any) -> Recurring:
        """A recurring run from the client's."""
        cron = found.trigger and found.trigger.cron_schedule
        return cls(
            identity=found.recurring_run_id,
            name=found.display_name,
            description=found.description or "",
            enabled=found.status == "ENABLED",
            cron=(cron and cron.cron) or "",
        )


def _task(found: Any) -> Task:
    start, end = _time(found.start_time or found.create_time), _time(found.end_time)
    return Task(
        identity=found.task_id or found.display_name,
        name=found.display_name or "",
        state=found.state or "PENDING",
        seconds=None if start is None or end is None else (end - start).total_seconds(),
        error=_error(found),
    )


def _time(found: datetime.datetime | None) -> datetime.datetime | None:
    """A time; Kubeflow Pipelines says 1970 for one that has not come."""
    return None if found is None or found.year <= 1970 else found


def _error(found: Any) -> str:
    return " ".join(((found.error and found.error.message) or "").split())


def _scheduled(text: str) -> str:
    """The time for which a run was scheduled, for people; empty: none."""
    try:
        moment = datetime.datetime.strptime(text, "%Y%m%d%H%M%S")
    except ValueError:
        return ""
    return f"{moment:%Y-%m-%d %H:%M}"
