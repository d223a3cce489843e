"""The last task of a run on a cluster, whatever happened before: report, run.json, message.

python -m babelrank.pipelines.kubeflow.report --out DIR --run-id ID --html FILE --executor-input {}
"""

from __future__ import annotations

import html
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from babelrank.components.errors import BabelRankError
from babelrank.pipelines import notify
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.kubeflow import plan, step
from babelrank.pipelines.kubeflow.run_folder import RunFolder
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.lease import Lease

_METRICS = "metrics"


def main(arguments: Sequence[str] | None = None) -> None:
    """Concludes the run and gives the output folder back.

    Raises:
        BabelRankError: `Plan` has not run.
    """
    parser = step.parser(__doc__.split("\n")[0])
    parser.add_argument("--html", type=Path, required=True, help="where Kubeflow wants the report")
    parser.add_argument("--executor-input", required=True, help="what Kubeflow says of outputs")
    given = step.parse(parser, arguments)
    folder, lease = RunFolder(given.out, given.run_id), Lease(given.out)
    if lease.holder() not in (None, given.run_id):
        _tell_of_refusal(given, folder, lease.holder())
        return
    decision = folder.decision()
    try:
        if decision is not None and not decision.go:
            step.say(decision.reason)
            _answer(given, f"<!doctype html><p>{html.escape(decision.reason)}</p>", {})
        else:
            overrides = () if decision is None else decision.overrides
            _conclude(folder.request().configuration(overrides), given, folder)
    finally:
        lease.release(given.run_id)
    if decision is not None and not decision.go:
        shutil.rmtree(folder.path)  # last, so that a second try finds it


def _tell_of_refusal(given: Any, folder: RunFolder, holder: str | None) -> None:
    """Tells of a run that another one kept from its folder: what is there is not this run's."""
    found = folder.step(plan.NAME).error
    error = found or f"the run {holder} has taken the output folder over."
    problem = notify.could_not_begin(folder.request().configuration(), given.run_id, error)
    step.say(f"no report: {error}")
    if problem is not None:
        step.say(f"warning: {problem}")
    _answer(given, f"<!doctype html><p>{html.escape(error)}</p>", {})


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
    steps = [one for one in every if one.name in shown or one is failed]
    record = RunRecord(run_id=given.run_id, started=folder.request().started, steps=steps)
    if failed is not None:
        record.error = BabelRankError(f"{failed.name}: {failed.error}")
    elif any(one.state == "not reached" for one in every):
        record.error = BabelRankError("the run was ended before all its steps had run")
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
