"""Tests of the index of all runs, and of the command that writes it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.errors import InputError
from babelrank.components.evaluation.index_page import index_html, main_metric
from babelrank.components.evaluation.report import write_run_json
from babelrank.pipelines import reporting
from babelrank.pipelines.history import PastRun, remember
from babelrank.pipelines.run_index import indexed, write_index
from tests.report import runs

KINDS = {
    "pushed": runs.RANKING,
    "refused": runs.REFUSED,
    "unserved": runs.UNSERVED,
    "forced": runs.FORCED,
    "failed": runs.FAILED,
}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output folder with a run of each kind."""
    for name, run in KINDS.items():
        folder = tmp_path / "runs" / name
        write_run_json(run, folder / "run.json")
        (folder / "report.html").write_text("x")
    return tmp_path


def report(out: Path) -> int:
    return reporting._report(argparse.Namespace(out=out))


def test_each_kind_says_why(out: Path) -> None:
    found = {run.run_id: run for run in indexed(out)}
    assert {name: run.why for name, run in found.items()} == {
        "pushed": "1 of 1 checks passed.",
        "refused": f"{runs.REFUSED.verdict[0].text} And 1 more.",
        "unserved": f"Serving check: {runs.REFUSED_CHECK.findings[0].text}",
        "forced": "Forced: Holiday sale.",
        "failed": "Ingest: BadRows: 6 %",
    }
    pushed, failed = found["pushed"], found["failed"]
    assert (pushed.version, pushed.spans, pushed.pipeline) == ("3", (1, 2, 3), "clicks")
    assert pushed.metrics["auc"] == 0.771
    assert pushed.report == "runs/pushed/report.html"
    assert found["forced"].forced
    assert (failed.version, failed.metrics) == ("", {})


def test_the_newest_run_is_first(out: Path) -> None:
    assert [run.run_id for run in indexed(out)][0] == "failed"
    assert [run.run_id for run in indexed(out)][1:] == ["unserved", "refused", "pushed", "forced"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "It left no run.json: it is still running, or was killed."),
        ("{", "Its run.json cannot be read: JSONDecodeError"),
        ("[]", "Its run.json cannot be read: TypeError"),
        ('{"metrics": {}}', "Its run.json cannot be read: KeyError"),
    ],
)
def test_a_run_that_left_nothing_is_listed(out: Path, content: str | None, why: str) -> None:
    folder = out / "runs" / "new"
    folder.mkdir()
    if content is not None:
        (folder / "run.json").write_text(content)
    newest = indexed(out)[0]
    assert (newest.run_id, newest.status, newest.report) == ("new", "unknown", "")
    assert newest.why.startswith(why)
    write_index(out)
    assert "unknown" in (out / "index.html").read_text(encoding="utf-8")


def test_reports_of_older_versions_are_read(out: Path) -> None:
    path = out / "runs" / "pushed" / "run.json"
    content: dict[str, Any] = json.loads(path.read_text())
    for name in ("forced", "check", "lineage", "anomalies", "raw_rows", "not_pushed"):
        del content[name]
    path.write_text(json.dumps(content))
    assert {run.run_id: run for run in indexed(out)}["pushed"].why == "1 of 1 checks passed."


def test_removed_runs_are_counted(out: Path) -> None:
    gone = PastRun(run_id="gone", status="pushed", started=1.0, spans=(1,))
    remember(out / "runs", [gone])
    write_index(out)
    html = (out / "index.html").read_text(encoding="utf-8")
    assert "1 earlier run that was judged was removed by" in " ".join(html.split())


def test_names_of_folders_are_quoted() -> None:
    run = runs.INDEX[0]
    odd = type(run)(**{**vars(run), "report": 'runs/a"b c#d/report.html'})
    assert 'href="runs/a%22b%20c%23d/report.html"' in index_html("x", [odd], 0)


def test_the_main_metric_is_the_newest_run_s() -> None:
    assert main_metric(runs.INDEX) == "auc"
    assert main_metric(()) == ""


def test_the_command(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(out) == 0
    said = capsys.readouterr().out
    assert f"5 runs; index: {out}/index.html\n" in said
    assert f"newest report (failed): {out}/runs/failed/report.html\n" in said
    assert "Refused by" not in said
    assert (out / "index.html").exists()


def test_no_runs_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").mkdir()
    assert report(tmp_path) == 0
    assert "There is no run yet" in capsys.readouterr().out
    assert "There is no run here yet" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        report(tmp_path / "none")
    with pytest.raises(InputError, match="there is no folder runs in it"):
        report(tmp_path)
    assert list(tmp_path.iterdir()) == []
