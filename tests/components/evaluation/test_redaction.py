"""Tests of what is left of a run when its report may hold no rows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from babelrank.components.evaluation import drift
from babelrank.components.evaluation.data_gate import Anomaly, DataFacts, judge_data
from babelrank.components.evaluation.data_thresholds import DataThresholds
from babelrank.components.evaluation.drift import MOST_CHANGED, Comparison, Move, Side
from babelrank.components.evaluation.drift_config import DriftConfig
from babelrank.components.evaluation.redaction import KEPT, REDACTED, without_rows
from babelrank.components.evaluation.report import (
    INTERRUPTED,
    Charts,
    Finding,
    RunSummary,
    SampleTranslation,
    StepSummary,
    verdict_lines,
    write_html,
    write_run_json,
)
from babelrank.components.serving.check.report import CheckFinding
from babelrank.pipelines.translation_summary import vocabulary_notes
from tests.report.runs import RANKING, REFUSED_CHECK, TRANSLATION, TRANSLATION_CHARTS

CANARY = "Serinus-canaria"
FOUND = Anomaly(feature="os", splits=("train", "test"), text=f"{CANARY} is new.")
NEW = Side(kind="categorical", missing=0.0)
MOVE = Move(distance=0.31, before=NEW, after=NEW, most=f"{MOST_CHANGED}'{CANARY}' 0 % -> 31 %")
DRIFTED = drift.judge(
    DriftConfig(action="refuse"), "test", None, Comparison(moves={"os": MOVE}, examples=999)
)
PLANTED = dataclasses.replace(
    RANKING,
    status="failed",
    not_pushed=f"the serving check refused it: '{CANARY}' gave NaN.",
    rows=dataclasses.replace(
        RANKING.rows,  # type: ignore[type-var]
        examples=(("not_a_number", "day=1/part-0.csv", 1234, f"u1,{CANARY}"),),
    ),
    drift=DRIFTED,
    verdict=(
        *DRIFTED.findings(),
        *judge_data(DataThresholds(max_anomalies=0), DataFacts(anomalies=(FOUND,))),
        Finding(ok=True, text="auc in the slice hour=3 0.7 keeps evaluation.min_auc = 0.6."),
    ),
    anomalies=(FOUND.sentence(),),
    check=dataclasses.replace(
        REFUSED_CHECK,
        findings=(
            CheckFinding(ok=False, text=f"'{CANARY}' gave NaN.", request=f'"{CANARY}"'),
            CheckFinding(ok=True, text=f"'{CANARY}' is as it was.", request=CANARY),
        ),
    ),
    steps=(
        StepSummary(name="Ingest", state="failed", error=f"1 of 9 is bad\n  {CANARY}"),
        StepSummary(name="Trainer", state="failed", error=INTERRUPTED),
    ),
    vocabulary={"source": {"size": 80}},
    vocabulary_notes=vocabulary_notes(
        {"notes": ["Few subwords."], "source": {"uncovered": [(CANARY, 3)]}}
    ),
)
SAMPLES = dataclasses.replace(
    TRANSLATION_CHARTS,
    samples=(
        SampleTranslation(
            kind="best",
            chrf=1.0,
            source=CANARY,
            reference=CANARY,
            translation=CANARY,
            baseline=CANARY,
        ),
    ),
)


def written(folder: Path, run: RunSummary, charts: Charts) -> str:
    """All that is told of a run."""
    write_html(run, charts, folder / "report.html")
    write_run_json(run, folder / "run.json")
    files = (path.read_text(encoding="utf-8") for path in folder.iterdir())
    return "\n".join([*files, *verdict_lines(run)])


def test_the_canary_is_seen_unless_rows_are_left_out(tmp_path: Path) -> None:
    assert written(tmp_path, PLANTED, SAMPLES).count(CANARY) > 15
    told = written(tmp_path, *without_rows(PLANTED, SAMPLES))
    assert CANARY not in told
    for kept in (
        "report.raw_rows: false",
        "day=1/part-0.csv, row 1,234",
        "os is skewed from train to test by 0.310, beyond drift.max_categorical = 0.2.",
        "os (train, test).",
        "hour=3",
        "requests and answers are left out",
        "1 checks were passed.",
        "babelrank check out/clicks",
        "errors can quote rows. The run",
        "Few subwords.",
    ):
        assert kept in told


def test_every_field_is_known() -> None:
    fields = [field.name for field in dataclasses.fields(RunSummary)]
    assert sorted((*KEPT, *REDACTED)) == sorted(fields)
    run = dataclasses.replace(PLANTED, status="refused", blessed=True)
    safe, _ = without_rows(run, SAMPLES)
    assert {name for name in fields if getattr(run, name) != getattr(safe, name)} == set(REDACTED)
    assert without_rows(safe, Charts())[0] == safe


def test_translations_are_said_to_be_left_out(tmp_path: Path) -> None:
    told = written(tmp_path, *without_rows(TRANSLATION, SAMPLES))
    assert CANARY not in told
    assert "Sentences and their translations are left out" in told


def test_nothing_to_leave_out() -> None:
    bare = RunSummary(run_id="r", pipeline="p", task="ranking", status="failed", started="now")
    safe, charts = without_rows(bare, Charts())
    assert safe == dataclasses.replace(bare, raw_rows=False)
    assert charts == Charts()


def test_an_interruption_says_nothing_of_rows() -> None:
    assert without_rows(PLANTED, SAMPLES)[0].steps[1].error == INTERRUPTED
