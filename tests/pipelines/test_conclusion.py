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
    run_id="r1", pipeline="clicks", task="ranking", status="refused", started="now"
)


@pytest.mark.parametrize("webhook", [None, "http://127.0.0.1:1/secret"])
def test_a_webhook_that_fails_is_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    webhook: str | None,
):
    data = {"path": "x.csv", "label": "y", "categorical": ["user"]}
    plain: dict[str, Any] = {"data": data, "evaluation": {"min_auc": 0.6}}
    config = from_dict(RankingConfig, {**plain, "notify": {"webhook": webhook}})
    monkeypatch.setattr(conclusion, "summarize", lambda *_: (SUMMARY, Charts()))
    (tmp_path / "runs" / "r1").mkdir(parents=True)
    assert conclusion.conclude(config, tmp_path, RunRecord(run_id="r1")) == SUMMARY
    for folder in (tmp_path, tmp_path / "runs" / "r1"):
        assert json.loads((folder / "run.json").read_text())["status"] == "refused"
        assert "Refused" in (folder / "report.html").read_text()
    said = capsys.readouterr().err
    if webhook is None:
        assert said == ""
    else:
        start = "babelrank: warning: the webhook at 127.0.0.1 was not told of run r1: "
        assert said.startswith(start)
