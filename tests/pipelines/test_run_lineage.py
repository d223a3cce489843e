"""Tests of the stations of a model's lineage: where it started, and what it was compared with."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from babelrank.components.evaluation.evaluator import Verdict
from babelrank.components.evaluation.report import StepSummary
from babelrank.components.evaluation.verdict import OVERALL
from babelrank.components.serving.check.report import CheckReport
from babelrank.pipelines import run_lineage
from babelrank.pipelines.record import RunRecord

METRICS = {OVERALL: {"auc": 0.75}}


class Artifacts:
    """What a run took and put out, by (step, key)."""

    def __init__(self, **given: Any) -> None:
        self._given = given

    def get(self, node: str, key: str) -> Any:
        return self._given.get(f"{node}_{key}")

    def taken(self, node: str, key: str) -> Any:
        return self._given.get(f"{node}_{key}")

    def run_of(self, artifact: Any) -> str:
        return str(artifact.run)


def stations(
    artifacts: Artifacts, verdict: Verdict | None = None, check: CheckReport | None = None
) -> dict[str, Any]:
    record = RunRecord(run_id="r9", steps=[StepSummary(name="Trainer", state="cached")])
    found = run_lineage.stations(None, artifacts, record, verdict, check)  # type: ignore[arg-type]
    return {one.name: one for one in found}


def test_a_warm_start_names_the_run_or_the_path(tmp_path: Path) -> None:
    source = "/models/of/another/company/7"
    (tmp_path / "training.json").write_text(json.dumps({"warm_start": {"source": source}}))
    run = SimpleNamespace(uri=str(tmp_path))
    found = stations(Artifacts(Trainer_model_run=run))["Warm start"]
    assert (found.lines, found.beside) == (("weights from", "…s/of/another/company/7"), True)
    found = stations(Artifacts(Trainer_model_run=run, Trainer_base_model=SimpleNamespace(run="r7")))
    assert found["Warm start"].lines == ("weights from", "run r7")


def test_a_model_from_the_cache_names_its_run() -> None:
    model = SimpleNamespace(run="20260304-101501-211150")
    found = stations(Artifacts(Trainer_model=model))["Model"]
    assert found.lines == ("trained before", "run 20260304-101501")


def test_gate_baseline_and_check() -> None:
    good = Verdict(blessed=True, split="test", findings=(), candidate=METRICS, baseline=METRICS)
    baseline = SimpleNamespace(run="r1")
    check = CheckReport(ok=True, findings=(), command="", compared=64)
    found = stations(Artifacts(Evaluator_baseline_model=baseline), good, check)
    assert found["Baseline"].lines == ("last blessed model", "run r1")
    assert (found["Gate"].lines, found["Gate"].tone) == (
        ("blessed", "AUC 0.750", "on test"),
        "good",
    )
    assert found["Serving check"].lines == ("passed", "64 examples equal")


def test_what_went_wrong_is_marked() -> None:
    forced = Verdict(
        blessed=True, split="test", findings=(), candidate={}, baseline=None, forced="A holiday."
    )
    check = CheckReport(ok=False, findings=(), command="")
    found = stations(Artifacts(), forced, check)
    assert (found["Gate"].lines, found["Gate"].tone) == (("forced", "on test"), "bad")
    assert (found["Serving check"].lines, found["Serving check"].tone) == (("refused",), "bad")


def test_what_was_pushed() -> None:
    def pushed(number: int, version: str) -> Any:
        properties = {
            "pushed": SimpleNamespace(int_value=number),
            "pushed_version": SimpleNamespace(string_value=version),
        }
        return stations(
            Artifacts(Pusher_pushed_model=SimpleNamespace(custom_properties=properties))
        )

    assert pushed(1, "12")["Pushed"].lines == ("version 12",)
    assert list(pushed(0, "")) == ["Not pushed"]
