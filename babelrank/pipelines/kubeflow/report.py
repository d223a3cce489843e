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
from babelrank.pipelines.kubeflow import plan, step
from babelrank.pipelines.kubeflow.run_folder import RunFolder
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
        raise BabelRankError(f"the run {lease.holder()} has the output folder now; no report.")
    decision = folder.decision()
    try:
        if decision is not None and not decision.go:
            step.say(decision.reason)
            _write_html(given.html, f"<!doctype html><p>{html.escape(decision.reason)}</p>")
            write_metrics(json.loads(given.executor_input), {})
        else:
            overrides = () if decision is None else decision.overrides
            config = folder.request().configuration(overrides)
            _conclude(config, given, folder)
    finally:
        lease.release(given.run_id)
    if decision is not None and not decision.go:
        shutil.rmtree(folder.path)  # last, so that a second try finds it


def _conclude(config: Any, given: Any, folder: RunFolder) -> None:
    """Writes the report of a run that did something, or failed to."""
    from babelrank.components.evaluation.report import verdict_lines
    from babelrank.pipelines.conclusion import REPORT, conclude
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
    _write_html(given.html, (folder.path / REPORT).read_text(encoding="utf-8"))
    write_metrics(json.loads(given.executor_input), summary.metrics)


def _write_html(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


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
