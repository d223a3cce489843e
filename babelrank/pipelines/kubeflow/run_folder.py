"""What the steps of one run on a cluster tell each other, as files in the run's folder."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from babelrank.components import durable
from babelrank.components.config import apply_override, from_dict, to_dict
from babelrank.components.errors import BabelRankError
from babelrank.components.evaluation.run_summary import DIED, StepSummary
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.options import PIPELINES

_REQUEST, _DECISION, _STEPS = "request.json", "decision.json", "steps"
_RUNNING = "running"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was compiled.

    Attributes:
        task: `ranking` or `translation`.
        config: The configuration, as plain data.
        started: When the run began, in seconds since the epoch.
    """

    task: str
    config: dict[str, Any]
    started: float = field(default_factory=time.time)

    def configuration(self, overrides: Sequence[str] = ()) -> PipelineConfig:
        """The configuration, with what this run overrides.

        Raises:
            ConfigError: It does not fit this version.
        """
        data = json.loads(json.dumps(self.config))
        for assignment in overrides:
            apply_override(data, assignment)
        return from_dict(PIPELINES[self.task], data)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What `Plan` decided for this run.

    Attributes:
        go: False: there is nothing to do.
        reason: Why, in a sentence.
        overrides: What the run overrides in the configuration, as `key=value`.
    """

    go: bool
    reason: str
    overrides: tuple[str, ...] = ()


class RunFolder:
    """The folder of a run.

    Args:
        out: The output folder.
        run_id: The run.
    """

    def __init__(self, out: Path, run_id: str) -> None:
        self.path = Layout(out).runs / run_id
        self._run_id = run_id

    def request(self) -> Request:
        """What was compiled.

        Raises:
            BabelRankError: `Plan` has not run.
        """
        return Request(**self._read(_REQUEST))

    def decision(self) -> Decision | None:
        """What `Plan` decided; None when it did not come so far."""
        if not (self.path / _DECISION).exists():
            return None
        content = self._read(_DECISION)
        return Decision(**{**content, "overrides": tuple(content["overrides"])})

    def write_request(self, request: Request) -> None:
        """Notes what was compiled."""
        self._write(_REQUEST, dataclasses.asdict(request))

    def write_decision(self, decision: Decision) -> None:
        """Notes what this run does."""
        self._write(_DECISION, to_dict(decision))

    def begin(self, step: str) -> None:
        """Notes that a step has begun."""
        self._write(f"{_STEPS}/{step}.json", {"state": _RUNNING})

    def end(self, step: StepSummary) -> None:
        """Notes how a step ended."""
        self._write(f"{_STEPS}/{step.name}.json", dataclasses.asdict(step))

    def step(self, name: str) -> StepSummary:
        """How a step went."""
        if not (self.path / _STEPS / f"{name}.json").exists():
            return StepSummary(name=name, state="not reached")
        content = self._read(f"{_STEPS}/{name}.json")
        if content["state"] == _RUNNING:
            return StepSummary(name=name, state="failed", error=DIED)
        return StepSummary(**content)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BabelRankError(
                f"{self.path / name}: not there: the task Plan of the run {self._run_id} has not "
                f"run, or on another volume. Do all steps mount the same one?"
            ) from None
        return content

    def _write(self, name: str, content: dict[str, Any]) -> None:
        durable.write_text(self.path / name, json.dumps(content, indent=1, ensure_ascii=False))
