"""The last task of a run on a cluster, whatever happened before: report, run.json, message.

python -m babelrank.pipelines.kubeflow.report --out DIR --run-id ID --html FILE --executor-input {}
"""

from __future__ import annotations

import html
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from babelrank.components.config import from_dict
from babelrank.components.errors import BabelRankError, ConfigError
from babelrank.components.evaluation.run_summary import NEVER_BEGAN
from babelrank.pipelines import notify
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.kubeflow import plan, step
from babelrank.pipelines.kubeflow.run_folder import Request, RunFolder
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.lease import Lease, locked
from babelrank.pipelines.operation import NotifyConfig

_METRICS = "metrics"


def main(arguments: Sequence[str] | None = None) -> None:
    """Concludes the run and gives the output folder back.

    Where it fails it keeps the folder, so that a second try finds everything as it was.

    Raises:
        BabelRankError: `Plan` has not run, or the report cannot be made, as without a database.
    """
    parser = step.parser(__doc__.split("\n")[0])
    parser.add_argument("--html", type=Path, required=True, help="where Kubeflow wants the report")
    parser.add_argument("--executor-input", required=True, help="what Kubeflow says of outputs")
    given = step.parse(parser, arguments)
    folder, lease = RunFolder(given.out, given.run_id), Lease(given.out)
    request, decision = folder.request(), folder.decision()
    try:
        config = request.configuration(() if decision is None else decision.overrides)
        if lease.holder() != given.run_id:  # Plan was refused, or did not come so far
            with locked(given.out):
                lease.take(given.run_id, config.kubernetes.lease)
    except BabelRankError as error:  # a configuration of another version, or somebody else's folder
        _tell(given, request, folder.step(plan.NAME).error or str(error))
        return
    with lease.kept(given.run_id):
        if decision is not None and not decision.go:
            step.say(decision.reason)
            _answer(given, _page(decision.reason), {})
        else:
            _conclude(config, given, folder)
    lease.release(given.run_id)
    if decision is not None and not decision.go:
        shutil.rmtree(folder.path)  # last, so that a second try finds it


def _tell(given: Any, request: Request, error: str) -> None:
    """Tells of a run that has no folder, or no configuration, to make a report with."""
    name = str(request.config.get("name", request.task))
    problem = notify.could_not_begin(_notify(request), name, request.task, given.run_id, error)
    step.say(f"no report: {error}")
    if problem is not None:
        step.say(f"warning: {problem}")
    _answer(given, _page(error), {})


def _notify(request: Request) -> NotifyConfig:
    """Whom to tell; where even that cannot be read, whom the environment names."""
    try:
        return from_dict(NotifyConfig, request.config.get("notify") or {})
    except ConfigError:
        return NotifyConfig()


def _page(text: str) -> str:
    return f"<!doctype html><p>{html.escape(text)}</p>"


def _conclude(config: PipelineConfig, given: Any, folder: RunFolder) -> None:
    """Writes the report of a run that did something, or failed to."""
    from babelrank.components.evaluation.report import verdict_lines
    from babelrank.pipelines.conclusion import conclude
    from babelrank.pipelines.history import REPORT
    from babelrank.pipelines.kubeflow.node import graph
    from babelrank.pipelines.local import HIDDEN_NODES
    from babelrank.pipelines.record import RunRecord

    names = [n.pipeline_node.node_info.id for n in graph(config, given.out).nodes]
    shown = [plan.NAME, *(name for name in names if name not in HIDDEN_NODES)]
    every = [folder.step(name) for name in (plan.NAME, *names)]
    failed = next((one for one in every if one.state == "failed"), None)
    missed = next((n for n, one in enumerate(every) if one.state == "not reached"), None)
    if failed is None and missed is not None:
        failed = every[missed] = replace(every[missed], state="failed", error=NEVER_BEGAN)
    steps = [one for one in every if one.name in shown or one is failed]
    record = RunRecord(run_id=given.run_id, started=folder.request().started, steps=steps)
    if failed is not None:
        record.error = BabelRankError(f"{failed.name}: {failed.error}")
    summary = conclude(config, given.out, record)
    for line in verdict_lines(summary):
        step.say(line)
    _answer(given, (folder.path / REPORT).read_text(encoding="utf-8"), summary.metrics)
    if failed is not None and config.training.workers > 1:
        _end_training(config, given.out)


def _end_training(config: PipelineConfig, out: Path) -> None:
    """Deletes TFJobs that Trainer left: when a task is ended by force it has no time for that."""
    from babelrank.components.training import tf_job_cluster

    try:
        for name in tf_job_cluster.delete_all(str(Layout(out).training)):
            step.say(f"TFJob {name} was left behind; deleted")
    except (BabelRankError, tf_job_cluster.Unreachable) as error:
        step.say(f"warning: TFJobs may be left behind: {error}")


def _answer(given: Any, page: str, metrics: Any) -> None:
    """Gives Kubeflow's pages what they show."""
    given.html.parent.mkdir(parents=True, exist_ok=True)
    given.html.write_text(page, encoding="utf-8")
    write_metrics(json.loads(given.executor_input), metrics)


def write_metrics(executor_input: dict[str, Any], metrics: Any) -> None:
    """Tells Kubeflow the metrics, as properties of the artifact that its pages show.

    Args:
        executor_input: What Kubeflow says of the task's outputs.
        metrics: Value by name.
    """
    outputs = executor_input["outputs"]
    (artifact,) = outputs["artifacts"][_METRICS]["artifacts"]
    shown = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
    told = {**artifact, "metadata": shown}  # NaN is no JSON
    path = Path(outputs["outputFile"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"artifacts": {_METRICS: {"artifacts": [told]}}}), encoding="utf-8")


if __name__ == "__main__":
    step.run(main)
