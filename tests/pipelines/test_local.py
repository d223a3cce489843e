"""Tests of the local loop on pretended nodes, and of one run at a time in a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from babelrank.components.errors import BabelRankError
from babelrank.components.evaluation.report import StepSummary
from babelrank.pipelines import local
from babelrank.pipelines.graph import dotted
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.lease import alone
from babelrank.pipelines.record import RunRecord, message


def graph(*names: str) -> Any:
    nodes = [
        SimpleNamespace(pipeline_node=SimpleNamespace(node_info=SimpleNamespace(id=name)))
        for name in names
    ]
    return SimpleNamespace(nodes=nodes)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each node comes to: True (ran), False (cached) or an error."""
    results: dict[str, Any] = {}

    def launch(ir: Any, node: Any, connection: Any) -> bool:
        result = results.get(node.node_info.id, True)
        if isinstance(result, BaseException):
            raise result
        return bool(result)

    monkeypatch.setattr(local, "launch", launch)
    monkeypatch.setattr(local, "begin", lambda *_: None)
    return results


def run(ir: Any) -> tuple[RunRecord, list[tuple[str, str, int, int]]]:
    """The record, and what the watcher saw; errors are put in the record."""
    record, seen = RunRecord(run_id="r"), []

    def watch(step: StepSummary, number: int, total: int) -> None:
        seen.append((step.name, step.state, number, total))

    try:
        local.run(ir, None, record, watch)
    except BaseException as error:
        record.error = error
    return record, seen


def test_steps_are_shown_without_the_resolver(launched: dict[str, Any]):
    launched["Transform"] = False
    record, seen = run(graph("Ingest", "Baseline", "Transform"))
    assert seen == [
        ("Ingest", "not reached", 1, 2),
        ("Ingest", "ran", 1, 2),
        ("Transform", "not reached", 2, 2),
        ("Transform", "cached", 2, 2),
    ]
    assert [step.state for step in record.steps] == ["ran", "cached"]
    assert all(step.seconds is not None for step in record.steps)
    assert all(step.memory_mib and step.memory_mib > 1 for step in record.steps)


@pytest.mark.parametrize("error", [ValueError("it broke"), KeyboardInterrupt()])
def test_a_failure_ends_the_run(launched: dict[str, Any], error: BaseException):
    launched["Trainer"] = error
    record, seen = run(graph("Ingest", "Trainer", "Pusher"))
    assert record.error is error
    assert [step.state for step in record.steps] == ["ran", "failed", "not reached"]
    assert record.steps[1].error == (str(error) or "interrupted")
    assert seen[-1] == ("Trainer", "failed", 2, 3)


def test_a_hidden_node_fails_too(launched: dict[str, Any]):
    launched["Baseline"] = ValueError("no database")
    record, _ = run(graph("Ingest", "Baseline", "Evaluator"))
    assert str(record.error) == "no database"
    assert [(step.name, step.state, step.error) for step in record.steps] == [
        ("Ingest", "ran", None),
        ("Baseline", "failed", "no database"),
        ("Evaluator", "not reached", None),
    ]


def test_message():
    assert message(ValueError("bad [while running 'A/B'] [while running 'C']")) == "bad"
    assert message(KeyboardInterrupt()) == "interrupted"


def test_one_run_at_a_time(tmp_path: Path):
    out = tmp_path / "deep" / "out"
    with alone(out):
        with (
            pytest.raises(BabelRankError, match=r"another run is using this folder\. Wait for it"),
            alone(out),
        ):
            pass
        with alone(tmp_path / "other"):
            pass
    with alone(out):
        pass


def test_layout(tmp_path: Path):
    layout = Layout(tmp_path)
    paths = {layout.artifacts, layout.metadata, layout.training, layout.serving, layout.runs}
    assert len(paths) == 5
    assert {path.parent for path in paths} == {tmp_path}
    assert dotted(dataclasses.replace) == "dataclasses.replace"
