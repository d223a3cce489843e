"""The index of all runs of an output folder, made from the `run.json` that each of them left."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from babelrank.components import durable
from babelrank.components.evaluation.index_page import IndexedRun, index_html
from babelrank.pipelines.history import REPORT, RUN, removed_runs
from babelrank.pipelines.layout import Layout

INDEX = "index.html"


def write_index(out: Path) -> list[IndexedRun]:
    """Writes the page and returns the runs, the newest first.

    Args:
        out: Output folder; without any runs, the page says so.

    Raises:
        InputError: What is known of runs that were removed cannot be read.
        OSError: The page cannot be written.
    """
    folder = Layout(out).runs
    runs = indexed(out)
    here = {run.run_id for run in runs}
    removed = sum(run.run_id not in here for run in removed_runs(folder))
    names = list(dict.fromkeys(run.pipeline for run in runs if run.pipeline))
    title = ", ".join(names[:3]) or out.absolute().name
    durable.write_text(out / INDEX, index_html(title, runs, removed))
    return runs


def indexed(out: Path) -> list[IndexedRun]:
    """The runs whose folders are there, the newest first; those that left nothing, too."""
    folder = Layout(out).runs
    found = (
        [_read(path, out) for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    )
    return sorted(found, key=lambda run: (run.when, run.run_id), reverse=True)


def _read(folder: Path, out: Path) -> IndexedRun:
    report = folder / REPORT
    link = report.relative_to(out).as_posix() if report.exists() else ""
    try:
        content = json.loads((folder / RUN).read_text(encoding="utf-8"))
        return _indexed(folder.name, content, link)
    except FileNotFoundError:
        why = "It left no run.json: it is still running, or was killed."
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"Its run.json cannot be read: {error!r}."
    when = folder.stat().st_mtime
    started = datetime.datetime.fromtimestamp(when).astimezone().isoformat()
    return IndexedRun(
        run_id=folder.name, status="unknown", when=when, started=started, why=why, report=link
    )


def _indexed(run_id: str, content: Mapping[str, Any], link: str) -> IndexedRun:
    metrics = content["metrics"]
    seconds = [float(one) for one in (content.get("seconds") or {}).values()]
    pushed = content.get("pushed_model")
    return IndexedRun(
        run_id=run_id,
        status=str(content["status"]),
        when=datetime.datetime.fromisoformat(content["started"]).timestamp(),
        started=content["started"],
        why=_why(content),
        pipeline=str(content.get("pipeline", "")),
        metrics={name: float(value) for name, value in metrics.items() if value is not None},
        spans=tuple(int(span) for span in content.get("spans") or ()),
        version=PurePosixPath(pushed).name if pushed else "",
        seconds=sum(seconds) if seconds else None,
        forced=bool(content.get("forced")),
        report=link,
    )


def _why(content: Mapping[str, Any]) -> str:
    """Why a run ended as it did, in a sentence."""
    status = content["status"]
    if status == "failed":
        errors = [one for one in content["steps"] if one.get("error")]
        first = (
            f"{errors[0]['name']}: {errors[0]['error']}".strip().splitlines()[0] if errors else ""
        )
        return first or "It stopped with an error before its first step."
    if status == "interrupted":
        return "It was stopped; the same command resumes it."
    verdict, check = content["verdict"], content.get("check") or {}
    refusals = [one["text"] for one in verdict if not one["ok"]]
    unserved = [one["text"] for one in check.get("findings", ()) if not one["ok"]]
    if content.get("blessed") and unserved:
        return _first("Serving check: ", unserved)
    if content.get("not_pushed"):
        return f"Not pushed: {content['not_pushed']}"
    if content.get("forced"):
        return f"Forced: {content['forced']}"
    checks = sum(not one.get("note") for one in verdict)
    return _first("", refusals) if refusals else f"{checks} of {checks} checks passed."


def _first(intro: str, sentences: Sequence[str]) -> str:
    more = len(sentences) - 1
    return f"{intro}{sentences[0]}{f' And {more} more.' if more else ''}"
