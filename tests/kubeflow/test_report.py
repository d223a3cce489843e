"""Tests of the last task of a run; the pipelines that end with it are in test_execution.py."""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from babelrank.components.errors import BabelRankError
from babelrank.components.evaluation.report import StepSummary
from babelrank.pipelines import conclusion, notify
from babelrank.pipelines.kubeflow import report
from babelrank.pipelines.kubeflow.run_folder import Decision, Request, RunFolder
from babelrank.pipelines.lease import Lease, locked

CONFIG = {
    "name": "clicks",
    "data": {"path": "none/*.csv", "label": "y", "categorical": ["user"]},
    "evaluation": {"min_auc": 0.6},
}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    before = Path.cwd()
    yield tmp_path
    os.chdir(before)


@pytest.fixture
def folder(root: Path) -> RunFolder:
    """A run that was planned."""
    out = root / "clicks"
    made = RunFolder(out, "run-1")
    made.write_request(Request(task="ranking", config=CONFIG))
    Lease(out).take("run-1", 60)
    return made


def outputs(root: Path) -> dict[str, Any]:
    artifact = {"name": "metrics", "uri": "minio://mlpipeline/metrics", "metadata": {}}
    return {
        "outputs": {
            "outputFile": str(root / "kfp" / "output.json"),
            "artifacts": {"metrics": {"artifacts": [artifact]}},
        }
    }


def run(root: Path) -> None:
    given = ["--out", str(root / "clicks"), "--run-id", "run-1", "--html", str(root / "a.html")]
    report.main([*given, "--executor-input", json.dumps(outputs(root))])


def test_metrics_become_properties_of_the_artifact(tmp_path: Path) -> None:
    report.write_metrics(outputs(tmp_path), {"auc": 0.75, "examples": 12, "rmse": math.nan})
    told = json.loads((tmp_path / "kfp" / "output.json").read_text())
    (artifact,) = told["artifacts"]["metrics"]["artifacts"]
    assert artifact["uri"] == "minio://mlpipeline/metrics"
    assert artifact["metadata"] == {"auc": 0.75, "examples": 12.0}


def test_nothing_to_do_leaves_no_run(root: Path, folder: RunFolder) -> None:
    folder.write_decision(Decision(go=False, reason="Nothing <new>."))
    run(root)
    assert not folder.path.exists()
    assert (root / "a.html").read_text() == "<!doctype html><p>Nothing &lt;new&gt;.</p>"
    assert Lease(root / "clicks").holder() is None


def test_a_step_that_was_killed(root: Path, folder: RunFolder) -> None:
    folder.write_decision(Decision(go=True, reason="new"))
    folder.begin("Ingest")
    run(root)
    result = json.loads((root / "clicks" / "run.json").read_text())
    assert result["status"] == "failed"
    states = {step["name"]: step["state"] for step in result["steps"]}
    assert (states["Ingest"], states["Trainer"]) == ("failed", "not reached")
    assert "its pod ended without a word" in (root / "a.html").read_text()
    assert Lease(root / "clicks").holder() is None


def test_a_run_whose_next_pod_never_began(root: Path, folder: RunFolder) -> None:
    folder.write_decision(Decision(go=True, reason="new"))
    folder.end(StepSummary(name="Plan", state="ran", seconds=1.0))
    folder.end(StepSummary(name="Ingest", state="ran", seconds=1.0))
    run(root)
    result = json.loads((root / "clicks" / "run.json").read_text())
    (failed,) = [step for step in result["steps"] if step["state"] == "failed"]
    assert failed["error"].startswith("its pod never began, or the run was ended before")
    assert result["status"] == "failed"


def test_what_fails_is_tried_again_in_the_same_folder(
    root: Path, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as while the database is away: no other run takes the folder in between."""
    folder.write_decision(Decision(go=True, reason="new"))
    folder.begin("Ingest")
    with monkeypatch.context() as patch:
        patch.setattr(conclusion, "conclude", MagicMock(side_effect=BabelRankError("no database")))
        with pytest.raises(BabelRankError, match="no database"):
            run(root)
    with pytest.raises(BabelRankError, match="the run run-1 is using this folder"):
        Lease(root / "clicks").take("run-2", 60)
    run(root)
    assert (root / "clicks" / "run.json").exists()
    assert Lease(root / "clicks").holder() is None


def test_a_configuration_of_another_version_is_told_of(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(notify, "_send", lambda *given: told.append(given))
    folder = RunFolder(root / "clicks", "run-1")
    config = {**CONFIG, "news": {}, "notify": {"webhook": "http://127.0.0.1:9/"}}
    folder.write_request(Request(task="ranking", config=config))
    run(root)
    ((where, summary, _),) = told
    assert where.webhook == "http://127.0.0.1:9/"
    assert (summary.run_id, summary.pipeline) == ("run-1", "clicks")
    assert "news" in summary.steps[0].error
    assert summary.steps[0].error in html.unescape((root / "a.html").read_text())
    assert not (root / "clicks" / "run.json").exists()


def test_whoever_has_the_lease_needs_no_lock(root: Path, folder: RunFolder) -> None:
    """Others lock the folder for a moment, only to see that it is taken."""
    folder.write_decision(Decision(go=False, reason="Nothing new."))
    with locked(root / "clicks"):
        run(root)
    assert "Nothing new." in (root / "a.html").read_text()
    assert Lease(root / "clicks").holder() is None


def test_a_folder_that_somebody_works_in_is_left_alone(root: Path, folder: RunFolder) -> None:
    """A command of this machine has the lock, and no lease."""
    Lease(root / "clicks").end()
    with locked(root / "clicks"):
        run(root)
    assert "another run is using this folder" in (root / "a.html").read_text()
    assert not (root / "clicks" / "run.json").exists()


def test_a_run_that_was_kept_from_the_folder_is_told_of(
    root: Path, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(notify, "_send", lambda *given: told.append(given))
    error = "the run run-0 is using this folder"
    folder.end(StepSummary(name="Plan", state="failed", seconds=1.0, error=error))
    Lease(root / "clicks").end()
    Lease(root / "clicks").take("run-0", 60)
    run(root)
    ((_, summary, _),) = told
    assert (summary.run_id, summary.steps[0].error) == ("run-1", error)
    assert error in (root / "a.html").read_text()
    assert not (root / "clicks" / "run.json").exists()


def test_a_run_that_has_lost_the_folder_writes_nothing(root: Path, folder: RunFolder) -> None:
    folder.write_decision(Decision(go=True, reason="new"))
    Lease(root / "clicks").release("run-1")
    Lease(root / "clicks").take("run-2", 60)
    run(root)
    assert "the run run-2 is using this folder" in (root / "a.html").read_text()
    assert not (root / "clicks" / "run.json").exists()
    assert Lease(root / "clicks").holder() == "run-2"
