"""One run of a pipeline on this machine: from a configuration to a report and a verdict."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from babelrank.components.config import to_dict
from babelrank.components.errors import BabelRankError
from babelrank.components.evaluation.report import RunSummary, write_html, write_run_json
from babelrank.pipelines import local
from babelrank.pipelines.config import PipelineConfig, RankingConfig
from babelrank.pipelines.database import connection
from babelrank.pipelines.graph import compiled
from babelrank.pipelines.layout import Layout

REPORT, RUN = "report.html", "run.json"


def run_pipeline(
    config: PipelineConfig,
    out: Path,
    watch: local.Watcher,
    optimum: Mapping[str, float] | None = None,
) -> tuple[RunSummary, BaseException | None]:
    """Runs the pipeline of a configuration and writes its report, however the run ends.

    Args:
        config: The configuration.
        out: Output folder; a second run with the same folder reuses what has not changed.
        watch: Told of each step.
        optimum: The best metrics that any model could reach, where they are known.

    Returns:
        What the run came to, and what ended it early, if something did.

    Raises:
        BabelRankError: Another run uses the output folder.
        DeviceError: The devices that training asks for are not here.
    """
    # Only here: TFX takes 10 s and more to import.
    from babelrank.components.training import strategy
    from babelrank.pipelines.summary import summarize

    strategy.check(config.training.strategy)  # and not after an hour of reading data
    out = out.absolute()
    layout = Layout(out)
    with alone(out):
        folder = _run_folder(layout.runs)
        text = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        record = local.RunRecord(run_id=folder.name)
        try:
            ir = compiled(graph_function(config)(config, out))
            local.run(ir, connection(layout), record, watch)
        except (Exception, KeyboardInterrupt) as error:
            record.error = error
        summary, charts = summarize(config, out, record, optimum)
        write_run_json(summary, folder / RUN)
        write_html(summary, charts, folder / REPORT)
        for name in (REPORT, RUN):  # the latest ones, where they are easy to find
            shutil.copyfile(folder / name, out / name)
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


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keeps two runs from using one output folder at the same time."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BabelRankError(
                f"{out}: another run is using this folder. Wait for it, or choose another --out."
            ) from None
        yield
