"""Tests of what the steps of a run on a cluster tell each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelrank.components.config import to_dict
from babelrank.components.errors import BabelRankError
from babelrank.components.evaluation.report import StepSummary
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.kubeflow import step
from babelrank.pipelines.kubeflow.run_folder import Decision, Request, RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "out", "run-1")


def test_the_configuration_arrives_with_what_the_run_overrides(folder: RunFolder) -> None:
    data = {"path": "x.csv", "label": "y", "categorical": ["user"]}
    evaluation = {"min_auc": 0.6}
    plain = {"name": "größe", "data": data, "evaluation": evaluation}
    folder.write_request(Request(task="ranking", config=plain, started=5.0))
    request = folder.request()
    assert request.started == 5.0
    config = request.configuration(["training.epochs=7"])
    assert isinstance(config, RankingConfig)
    assert (config.name, config.training.epochs) == ("größe", 7)
    assert to_dict(request.configuration()) != to_dict(config)


def test_without_plan_there_is_an_error_that_names_the_volume(folder: RunFolder) -> None:
    with pytest.raises(BabelRankError, match=r"request\.json: not there: the task Plan"):
        folder.request()
    assert folder.decision() is None


def test_decisions(folder: RunFolder) -> None:
    decision = Decision(go=True, reason="span 3 is new.", overrides=("spans.span=3",))
    folder.write_decision(decision)
    assert folder.decision() == decision


def test_steps(folder: RunFolder) -> None:
    assert folder.step("Ingest").state == "not reached"
    folder.begin("Ingest")
    killed = folder.step("Ingest")
    assert killed.state == "failed"
    assert "its pod ended without a word" in str(killed.error)
    with step.recorded(folder, "Ingest") as end:
        end("cached")
    assert folder.step("Ingest").state == "cached"
    with pytest.raises(ValueError, match="no rows"), step.recorded(folder, "Ingest"):
        raise ValueError("no rows [while running 'A/B']")
    failed = folder.step("Ingest")
    assert (failed.state, failed.error) == ("failed", "no rows")
    folder.end(StepSummary(name="Ingest", state="ran", seconds=2.0))
    assert folder.step("Ingest") == StepSummary(name="Ingest", state="ran", seconds=2.0)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("false", False)])
def test_truth(text: str, value: bool) -> None:
    assert step.truth(text) is value


def test_what_is_no_truth_value() -> None:
    with pytest.raises(ValueError, match="maybe"):
        step.truth("maybe")
