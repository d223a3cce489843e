"""The end of a run, wherever it ran: writes down what it came to."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from babelrank.components import durable
from babelrank.components.evaluation.report import RunSummary, write_html, write_run_json
from babelrank.pipelines import notify
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.history import REPORT, RUN
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.record import RunRecord
from babelrank.pipelines.run_index import write_index
from babelrank.pipelines.summary import summarize


def conclude(
    config: PipelineConfig,
    out: Path,
    record: RunRecord,
    optimum: Mapping[str, float] | None = None,
) -> RunSummary:
    """Writes the report and run.json of a run into its folder, and copies into the output folder.

    Whoever wants to know of refusals and failures is told. The index of all runs is written anew.

    Args:
        config: The configuration of the run.
        out: Output folder.
        record: How far the run came.
        optimum: The best metrics that any model could reach, where they are known.
    """
    folder = Layout(out).runs / record.run_id
    summary, charts = summarize(config, out, record, optimum)
    write_run_json(summary, folder / RUN)
    write_html(summary, charts, folder / REPORT)
    for name in (REPORT, RUN):  # the latest ones, where they are easy to find
        durable.write_text(out / name, (folder / name).read_text(encoding="utf-8"))
    _warn(notify.tell(config.notify, summary, out / REPORT))
    _warn(_index(out))  # after it: other runs' files must not keep anybody from hearing of this one
    return summary


def _index(out: Path) -> str | None:
    """Writes the index; what went wrong, if something did: a run is what it is without it."""
    try:
        write_index(out)
    except Exception as error:
        return f"the index of all runs was not written: {type(error).__name__}: {error}"
    return None


def _warn(problem: str | None) -> None:
    if problem is not None:
        sys.stderr.write(f"babelrank: warning: {problem}\n")
