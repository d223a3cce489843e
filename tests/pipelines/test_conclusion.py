"""The end of a run: its report, where people find it, and who hears of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.evaluation.report import Charts, RunSummary
from babelrank.pipelines import conclusion
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.record import RunRecord

SUMMARY = RunSummary(
    run_id="r1",
    pipeline="clicks",
    task="ranking",
    status="refused",
    started="2026-03-04T10:15:01+00:00",
)
CONFIG: dict[str, Any] = {
    "data": {"path": "x.csv", "label": "y", "categorical": ["user"]},
    "evaluation": {"min_auc": 0.6},
}


@pytest.mark.parametrize("webhook", [None, "http://127.0.0.1:1/secret"])
def test_a_webhook_that_fails_is_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    webhook: str | None,
):
    config = from_dict(RankingConfig, {**CONFIG, "notify": {"webhook": webhook}})
    monkeypatch.setattr(conclusion, "summarize", lambda *_: (SUMMARY, Charts()))
    (tmp_path / "runs" / "r1").mkdir(parents=True)
    assert conclusion.conclude(config, tmp_path, RunRecord(run_id="r1")) == SUMMARY
    for folder in (tmp_path, tmp_path / "runs" / "r1"):
        assert json.loads((folder / "run.json").read_text())["status"] == "refused"
        assert "Refused" in (folder / "report.html").read_text()
    assert "1 run" in (tmp_path / "index.html").read_text()
    said = capsys.readouterr().err
    if webhook is None:
        assert said == ""
    else:
        start = "babelrank: warning: the webhook at 127.0.0.1 was not told of run r1: "
        assert said.startswith(start)


def test_an_index_that_breaks_comes_after_the_webhook_and_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    done: list[str] = []

    def broken(out: Path):
        done.append("index")
        raise RuntimeError("no font")

    monkeypatch.setattr(conclusion, "summarize", lambda *_: (SUMMARY, Charts()))
    monkeypatch.setattr(conclusion, "write_index", broken)
    monkeypatch.setattr(conclusion.notify, "tell", lambda *_: done.append("webhook"))
    config = from_dict(RankingConfig, CONFIG)
    assert conclusion.conclude(config, tmp_path, RunRecord(run_id="r1")) == SUMMARY
    assert done == ["webhook", "index"]
    said = capsys.readouterr().err
    assert "the index of all runs was not written: RuntimeError: no font" in said


def test_an_index_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(conclusion, "summarize", lambda *_: (SUMMARY, Charts()))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "judged.json").write_text("{")
    config = from_dict(RankingConfig, CONFIG)
    assert conclusion.conclude(config, tmp_path, RunRecord(run_id="r1")) == SUMMARY
    assert (tmp_path / "report.html").exists()
    assert "the index of all runs was not written: " in capsys.readouterr().err
