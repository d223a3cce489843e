"""One run of a pipeline on this machine: from a configuration to a report and a verdict."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from babelrank.components.config import to_dict
from babelrank.components.errors import BabelRankError
from babelrank.components.evaluation.report import RunSummary
from babelrank.pipelines import local, schedule
from babelrank.pipelines.conclusion import conclude
from babelrank.pipelines.config import PipelineConfig, RankingConfig
from babelrank.pipelines.database import connection
from babelrank.pipelines.graph import compiled
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.lease import alone
from babelrank.pipelines.record import RunRecord
from babelrank.pipelines.schedule import Plan

PIPELINE = "Pipeline"
"""In place of a step's name: what failed is outside of all steps, such as making the graph."""


def run_pipeline(
    config: PipelineConfig,
    out: Path,
    watch: local.Watcher,
    optimum: Mapping[str, float] | None = None,
    plan: Plan | None = None,
) -> tuple[RunSummary, BaseException | None]:
    """Runs the pipeline of a configuration and writes its report, however the run ends.

    Args:
        config: The configuration.
        out: Output folder; a second run with the same folder reuses what has not changed.
        watch: Told of each step.
        optimum: The best metrics that any model could reach, where they are known.
        plan: What the run is to read, where that was planned; else what there is now. It is kept
            with the run.

    Returns:
        What the run came to, and what ended it early, if something did.

    Raises:
        BabelRankError: Another run uses the output folder, or ended since the plan was made.
        DeviceError: The devices that training asks for are not here.
    """
    # Only here: TFX takes 10 s and more to import.
    from babelrank.components.training import strategy, tf_job

    # And not after an hour of reading data.
    if config.training.workers > 1:
        tf_job.check(config.training)
    else:
        strategy.check(config.training.strategy)
    out = out.absolute()
    layout = Layout(out)
    with alone(out):
        if plan is not None:
            schedule.check_current(plan, out)
        folder = _run_folder(layout.runs)
        text = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        with contextlib.suppress(BabelRankError):  # Ingest says so, in the report
            (plan or schedule.reading(config)).save(folder)
        record = RunRecord(run_id=folder.name)
        try:
            ir = compiled(graph_function(config)(config, out))
            local.run(ir, connection(layout), record, watch)
        except (Exception, KeyboardInterrupt) as error:
            record.error = error
            if not any(step.state == "failed" for step in record.steps):
                record.fail(PIPELINE, error)
        summary = conclude(config, out, record, optimum)
    return summary, record.error


def graph_function(config: PipelineConfig) -> Callable[[Any, Path], Any]:
    """What makes the TFX pipeline of a configuration and an output folder."""
    if isinstance(config, RankingConfig):
        from babelrank.pipelines.ranking import ranking_pipeline

        return ranking_pipeline
    from babelrank.pipelines.translation import translation_pipeline

    return translation_pipeline


def _run_folder(runs: Path) -> Path:
    """A new folder, named by the time."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    folder = runs / stamp
    folder.mkdir(parents=True)
    return folder
