"""The first task of a run on a cluster: takes the output folder, and decides what the run reads.

python -m babelrank.pipelines.kubeflow.plan --out DIR --run-id ID --pipeline ranking --config JSON
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from typing import Any

from babelrank.components.config import to_dict
from babelrank.components.errors import ConfigError
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.kubeflow import fingerprint, step
from babelrank.pipelines.kubeflow.run_folder import Decision, Request, RunFolder
from babelrank.pipelines.lease import Lease, locked
from babelrank.pipelines.options import PIPELINES

NAME = "Plan"


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes what was compiled and what was decided into the folder of the run.

    Raises:
        BabelRankError: Another run uses the output folder, or spans are missing.
    """
    given = step.parse(_parser(), arguments)
    folder = RunFolder(given.out, given.run_id)
    request = Request(task=given.pipeline, config=json.loads(given.config))
    if folder.decision() is None:  # else this is a second try
        folder.write_request(request)
    with step.recorded(folder, NAME):
        config = _configuration(request, given.compiled_by)
        with locked(given.out):
            Lease(given.out).take(given.run_id, config.kubernetes.lease)
        decision = folder.decision() or decide(config, given, folder)
    step.say(decision.reason)


def _configuration(request: Request, compiled_by: str) -> PipelineConfig:
    """The configuration, or an error that says which side is older."""
    try:
        return request.configuration()
    except ConfigError as error:
        raise ConfigError(f"{error} {fingerprint.older(compiled_by)}") from None


def decide(config: PipelineConfig, given: Any, folder: RunFolder) -> Decision:
    """Decides what a run reads, and notes it in the run's folder.

    Args:
        config: The configuration.
        given: The parameters of the run: out, span (-1: not given), window (0: as configured),
            push, force, allow_missing, scheduled (empty: not given), retrain.
        folder: The run's folder.

    Raises:
        ConfigError: A parameter is wrong.
        BabelRankError: Spans are missing.
    """
    from babelrank.pipelines import schedule

    overrides = [] if given.push else ["push.enabled=false"]
    if given.window:
        overrides.append(f"spans.window={given.window}")
    config = Request(task=config.task, config=to_dict(config)).configuration(overrides)
    scheduled = moment(given.scheduled)
    if scheduled is None and given.retrain and given.span < 0:
        scheduled = schedule.now_scheduled(config)
    plan = schedule.plan(
        config,
        given.out,
        span=None if given.span < 0 else schedule.as_span(config, given.span),
        scheduled=scheduled,
        # Whoever does not retrain wants a run, and reads what there is.
        force=given.force or not given.retrain,
        allow_missing=given.allow_missing or not given.retrain,
    )
    if plan.span is not None:
        overrides.append(f"spans.span={plan.span}")
    plan.save(folder.path)
    reason = plan.reason if given.retrain else "a run was asked for, so there is one."
    decision = Decision(go=plan.go, reason=reason, overrides=tuple(overrides))
    folder.write_decision(decision)
    return decision


def moment(text: str) -> datetime.datetime | None:
    """The time for which a run was scheduled, in UTC; None when it was not.

    Args:
        text: `20260102030405`, as Kubeflow writes [[ScheduledTime]], or ISO 8601.

    Raises:
        ConfigError: It is neither.
    """
    if not text:
        return None
    try:
        if re.fullmatch(r"\d{14}", text):
            found = datetime.datetime.strptime(text, "%Y%m%d%H%M%S")
        else:
            found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"scheduled: got {text}; takes a time such as 2026-01-02T03:04:05Z, or "
            f"[[ScheduledTime]] in a recurring run of Kubeflow Pipelines 2.16 or newer."
        ) from None
    return found.replace(tzinfo=found.tzinfo or datetime.UTC).astimezone(datetime.UTC)


def _parser() -> Any:
    parser = step.parser(__doc__.split("\n")[0])
    parser.add_argument("--pipeline", choices=PIPELINES, required=True)
    parser.add_argument("--config", required=True, metavar="JSON", help="the configuration")
    parser.add_argument("--compiled-by", required=True, metavar="TEXT", help="versions")
    parser.add_argument("--retrain", action="store_true", help="only when there is a new span")
    parser.add_argument("--span", type=int, default=-1, metavar="N", help="newest span to read")
    parser.add_argument("--window", type=int, default=0, metavar="N", help="spans to read")
    parser.add_argument("--push", type=step.truth, default=True, help="push a blessed model")
    parser.add_argument("--force", type=step.truth, default=False, help="run in any case")
    parser.add_argument(
        "--allow-missing", type=step.truth, default=False, help="go on when a span is missing"
    )
    parser.add_argument("--scheduled", default="", metavar="TIME", help="when it was to run")
    return parser


if __name__ == "__main__":
    step.run(main)
