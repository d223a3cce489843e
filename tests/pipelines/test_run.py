"""What a run refuses before it does anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import tensorflow as tf

from babelrank.components.config import from_dict
from babelrank.components.errors import BabelRankError, ConfigError, DeviceError
from babelrank.components.evaluation.report import verdict_lines
from babelrank.pipelines import run, schedule
from babelrank.pipelines.config import RankingConfig, TranslationConfig
from babelrank.pipelines.run import run_pipeline

DATA: dict[str, dict[str, Any]] = {
    "ranking": {"path": "none/*.csv", "label": "y", "categorical": ["user"]},
    "translation": {
        "path": "none/*.tsv",
        "source": {"language": "en", "column": 0},
        "target": {"language": "de", "column": 1},
    },
}
GATES = {"ranking": {"min_auc": 0.6}, "translation": {"min_bleu": 1}}


@pytest.mark.parametrize("task", DATA)
@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ({"device": "gpu"}, "training.strategy.device: got gpu, and TensorFlow finds no GPU here"),
        ({"name": "mirrored", "devices": 99}, "training.strategy.devices: got 99, and there are"),
        ({"name": "multi_worker_mirrored"}, "needs the environment variable TF_CONFIG"),
    ],
)
def test_missing_devices_are_an_error_before_data_are_read(
    task: str, strategy: dict[str, Any], message: str, tmp_path: Path
) -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    kind = RankingConfig if task == "ranking" else TranslationConfig
    plain = {"data": DATA[task], "evaluation": GATES[task], "training": {"strategy": strategy}}
    config = from_dict(kind, plain)
    steps: list[Any] = []
    with pytest.raises(DeviceError, match=message):
        run_pipeline(config, tmp_path / "out", lambda *step: steps.append(step))
    assert not steps
    assert not (tmp_path / "out").exists()


def test_what_fails_outside_of_all_steps_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as a tokenizer that is not installed: the report has to say so."""

    def graph(*_: Any) -> None:
        raise ConfigError("evaluation.tokenize: ja-mecab is not installed")

    monkeypatch.setattr(run, "graph_function", lambda _: graph)
    config = from_dict(RankingConfig, {"data": DATA["ranking"], "evaluation": GATES["ranking"]})
    summary, error = run_pipeline(config, tmp_path / "out", lambda *_: None)
    assert isinstance(error, ConfigError)
    assert verdict_lines(summary) == [
        "FAILED at Pipeline",
        "  Pipeline: evaluation.tokenize: ja-mecab is not installed",
    ]
    assert "ja-mecab is not installed" in (tmp_path / "out" / "report.html").read_text()
    assert "Pipeline failed: evaluation.tokenize" in caplog.text


def test_what_a_run_reads_is_kept_whoever_planned_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("graph_function", "compiled", "conclude"):
        monkeypatch.setattr(run, name, MagicMock())
    monkeypatch.setattr(run.local, "run", lambda *_: None)
    data = {**DATA["ranking"], "path": f"{tmp_path}/{{SPAN}}.csv"}
    config = from_dict(RankingConfig, {"data": data, "evaluation": GATES["ranking"]})
    (tmp_path / "3.csv").write_text("y,user\n")
    out = tmp_path / "out"
    run_pipeline(config, out, lambda *_: None)
    planned = schedule.plan(config, out)
    run_pipeline(config, out, lambda *_: None, None, planned)
    kept = [json.loads(path.read_text()) for path in sorted(out.glob("runs/*/plan.json"))]
    assert [one["spans"] for one in kept] == [[3], [3]]
    assert {one["fingerprint"] for one in kept} == {planned.fingerprint}

    first = min((out / "runs").iterdir())
    report = {"status": "refused", "spans": [3], "started": "2026-01-01T00:00:00+00:00"}
    (first / "run.json").write_text(json.dumps(report))
    with pytest.raises(BabelRankError, match=f"{first.name} came to its end while"):
        run_pipeline(config, out, lambda *_: None, None, planned)
    assert len(list(out.glob("runs/*"))) == 2
    (tmp_path / "3.csv").unlink()  # the run says so itself, in its report
    run_pipeline(config, out, lambda *_: None)
    assert len(list(out.glob("runs/*"))) == 3
    assert len(list(out.glob("runs/*/plan.json"))) == 2
