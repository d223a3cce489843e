"""Tests of what a run's summary reads from ML Metadata and from the artifacts of the steps."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from babelrank.components.config import from_dict
from babelrank.components.evaluation.drift import DriftReport, FeatureDrift
from babelrank.components.evaluation.evaluator import Verdict
from babelrank.components.evaluation.report import StepSummary, verdict_lines, write_html
from babelrank.components.evaluation.report_config import ReportConfig
from babelrank.components.evaluation.sentences import headline
from babelrank.components.evaluation.verdict import OVERALL, Finding
from babelrank.components.ingest import summary as ingest_summary
from babelrank.components.serving.check.report import CheckFinding, CheckReport
from babelrank.components.translation import coverage, subwords
from babelrank.components.translation.config import VocabularyConfig
from babelrank.components.translation.counting import SideCounts
from babelrank.pipelines import data_summary, ranking_summary, summary, translation_summary
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig
from babelrank.pipelines.record import RunRecord
from babelrank.pipelines.run_artifacts import RunArtifacts
from babelrank.pipelines.summary import summarize
from babelrank.pipelines.translation_summary import (
    FIGURES,
    vocabulary_figures,
    vocabulary_notes,
)

TRANSLATION = from_dict(
    TranslationConfig,
    {
        "name": "en-de",
        "data": {"path": "corpus.tsv", "source": "en", "target": "de"},
        "evaluation": {"min_bleu": 1},
    },
)
RANKING = from_dict(
    RankingConfig,
    {
        "data": {"path": "day={SPAN}/x.csv", "label": "clicked", "categorical": ["user"]},
        "splits": {"by": "hash"},
        "evaluation": {"min_auc": 0.6},
    },
)
CANDIDATE = {
    "examples": 200.0,
    "bleu": 31.0,
    "bleu_low": 30.0,
    "bleu_high": 32.0,
    "bleu_p_value": 0.25,
    "bleu_change": 0.9,
    "bleu_change_low": -1.0,
    "bleu_change_high": 2.5,
}
BASELINE = {"examples": 200.0, "bleu": 30.0, "bleu_low": 29.0, "bleu_high": 31.0}
SAMPLE = {
    "kind": "worst",
    "chrf": 1.5,
    "source": "s",
    "reference": "r",
    "translation": "t",
    "baseline": None,
}


class Store:
    """An output folder with the metadata of one run, `r`."""

    def __init__(self, out: Path, pipeline: str) -> None:
        self._out, self._pipeline = out, pipeline
        connection = mlmd.ConnectionConfig()
        connection.sqlite.filename_uri = str(out / "metadata.sqlite")
        connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store = MetadataStore(connection)
        self.metadata = self._store
        self._run = self._context("pipeline_run", "r")

    def _context(self, kind: str, name: str) -> mlmd.Context:
        type_id = self._store.put_context_type(mlmd.ContextType(name=kind))
        (context_id,) = self._store.put_contexts([mlmd.Context(type_id=type_id, name=name)])
        return mlmd.Context(id=context_id, type_id=type_id, name=name)

    def put(
        self, node: str, key: str, files: dict[str, Any] | None = None, **properties: str | int
    ) -> None:
        """Adds a step that put out one artifact with JSON files and custom properties."""
        folder = self._out / node
        folder.mkdir()
        for name, content in (files or {}).items():
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
        artifact = mlmd.Artifact(
            type_id=self._store.put_artifact_type(mlmd.ArtifactType(name=f"A{node}{key}")),
            uri=str(folder),
        )
        for name, value in properties.items():
            if isinstance(value, int):
                artifact.custom_properties[name].int_value = value
            else:
                artifact.custom_properties[name].string_value = value
        execution = mlmd.Execution(
            type_id=self._store.put_execution_type(mlmd.ExecutionType(name=f"E{node}")),
            last_known_state=mlmd.Execution.COMPLETE,
        )
        event = mlmd.Event(type=mlmd.Event.OUTPUT)
        event.path.steps.add().key = key
        node_context = self._context("node", f"{self._pipeline}.{node}")
        self._store.put_execution(execution, [(artifact, event)], [self._run, node_context])

    def summarize(self, config: PipelineConfig, error: BaseException | None = None) -> Any:
        record = RunRecord(run_id="r", started=0.0, error=error)
        record.steps.append(StepSummary(name="Trainer", state="ran", seconds=2.0))
        return summarize(config, self._out, record)


def verdict(candidate: dict[str, Any], baseline: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "blessed": True,
        "split": "test",
        "findings": [{"ok": True, "text": "fine."}],
        "candidate": candidate,
        "baseline": baseline,
    }


HISTORY = [
    {"step": 1, "loss": 5.0, "eval": None},
    {"step": 2, "loss": 4.0, "eval": {"loss": 4.5, "bleu": 2.5, "sacrebleu_score": 2.5}},
]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What TFMA's files would hold; the names of the models that were asked for."""
    asked: list[str] = []

    def found(uri: str, model: str) -> dict[str, str]:
        assert uri.endswith("Evaluator")
        asked.append(model)
        return {"samples": json.dumps([SAMPLE]), "signatures": '{"bleu": "tok:13a"}'}

    monkeypatch.setattr(translation_summary, "overall_texts", found)
    return asked


def test_a_translation_run(tmp_path: Path, texts: list[str]):
    store = Store(tmp_path, "en-de")
    slices = {f"source_length={name}": CANDIDATE for name in ("11-20", "01-05", "06-10")}
    crossed = "source_length=01-05 origin=a=b"
    store.put("Ingest", "examples", spans="[0]")
    store.put("SubwordVocabulary", "subwords", {"summary.json": {"source": {"size": 80}}})
    store.put("Trainer", "model_run", {"history.json": HISTORY})
    of_slices = {OVERALL: CANDIDATE, **slices, crossed: CANDIDATE}
    found = verdict(of_slices, {OVERALL: BASELINE, "source_length=01-05": BASELINE})
    store.put("Evaluator", "evaluation", {"verdict.json": found})
    store.put("Pusher", "pushed_model", pushed=1, pushed_destination="/models/1")
    run, charts = store.summarize(TRANSLATION)
    assert (run.task, run.status, run.pushed_model) == ("translation", "pushed", "/models/1")
    assert run.metrics == {"examples": 200.0, "bleu": 31.0}
    assert run.baseline == {"examples": 200.0, "bleu": 30.0}
    assert run.intervals == {"bleu": (30.0, 32.0)}
    assert run.p_values == {"bleu": 0.25}
    assert run.signatures == {"bleu": "tok:13a"}
    assert run.languages == ("en", "de")
    assert run.vocabulary == {"source": {"size": 80}}
    assert run.spans == ()
    assert run.verdict == (Finding(ok=True, text="fine."),)
    assert charts.loss == [(1, 5.0), (2, 4.0)]
    assert charts.evaluation == {"loss": [(2, 4.5)], "bleu": [(2, 2.5)]}
    assert [row.slice for row in charts.lengths] == ["1-5", "6-10", "11-20"]
    assert [row.slice for row in charts.slices] == [
        "source_length=01-05",
        crossed,
        "source_length=06-10",
        "source_length=11-20",
    ]
    assert charts.lengths[0].metrics == {"examples": 200.0, "bleu": 31.0}
    assert charts.lengths[0].baseline == {"examples": 200.0, "bleu": 30.0}
    assert charts.lengths[1].baseline is None
    assert [vars(sample) for sample in charts.samples] == [SAMPLE]
    assert set(texts) == {"candidate"}
    write_html(run, charts, tmp_path / "report.html")


def test_a_first_translation_run_asks_for_the_only_model(tmp_path: Path, texts: list[str]):
    store = Store(tmp_path, "en-de")
    store.put("Evaluator", "evaluation", {"verdict.json": verdict({OVERALL: BASELINE}, None)})
    run, _ = store.summarize(TRANSLATION)
    assert run.baseline is None
    assert run.p_values == {}
    assert set(texts) == {""}


@pytest.mark.parametrize(
    ("config", "error", "status"),
    [
        (TRANSLATION, ValueError("x"), "failed"),
        (TRANSLATION, KeyboardInterrupt(), "interrupted"),
        (RANKING, ValueError("x"), "failed"),
    ],
)
def test_a_run_that_did_not_come_to_the_gate(
    tmp_path: Path, config: PipelineConfig, error: BaseException, status: str
):
    run, charts = Store(tmp_path, config.name).summarize(config, error)
    assert (run.task, run.status, run.blessed) == (config.task, status, None)
    assert run.metrics == {}
    assert run.rows is None
    assert charts.slices == ()
    write_html(run, charts, tmp_path / "report.html")


def test_slices_are_in_the_order_that_people_count_in(tmp_path: Path, texts: list[str]):
    nines = "9" * 5000
    names = [
        *("origin=a", "user_id=0", "user_id=2", "user_id=007", "user_id=7.5"),
        *("user_id=10", "user_id=10 hour=9", "user_id=10 hour=11"),
        *(f"user_id={nines}", f"user_id=1{nines}"),
    ]
    store = Store(tmp_path, "en-de")
    metrics = dict.fromkeys((OVERALL, *reversed(names)), CANDIDATE)
    store.put("Evaluator", "evaluation", {"verdict.json": verdict(metrics, None)})
    run, charts = store.summarize(TRANSLATION)
    assert [row.slice for row in charts.slices] == names
    write_html(run, charts, tmp_path / "report.html")


def test_a_ranking_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arrays = {"roc": [0.0, 0.0, 1.0, 1.0], "calibration_buckets": [0.25, 0.5, 8.0]}
    monkeypatch.setattr(ranking_summary, "slice_arrays", lambda uri, model: arrays)
    store = Store(tmp_path, "ranking")
    store.put("Ingest", "examples", spans="[1, 2]")
    metrics = {"examples": 10.0, "auc": 0.75, "calibration": 1.0}
    found = verdict({OVERALL: metrics, "hour=10": metrics, "hour=9": metrics}, None)
    store.put("Evaluator", "evaluation", {"verdict.json": found})
    run, charts = store.summarize(RANKING)
    assert run.task == "ranking"
    assert run.metrics == metrics
    assert run.spans == (1, 2)
    assert run.languages is None
    assert "newest span, 2" in run.split_note
    assert charts.roc == [(0.0, 0.0), (1.0, 1.0)]
    assert charts.roc_baseline == []
    assert charts.calibration == [(0.25, 0.5, 8)]
    assert [row.slice for row in charts.slices] == ["hour=9", "hour=10"]


def test_how_far_the_data_moved(tmp_path: Path):
    store = Store(tmp_path, "ranking")
    assert store.summarize(RANKING)[0].drift is None
    moved = FeatureDrift(
        feature="user",
        kind="categorical",
        drift=None,
        skew=0.3,
        bound=0.2,
        missing=0.0,
        beyond=("user is skewed.",),
    )
    report = DriftReport(action="report", split="test", notes=("First.",), features=(moved,))
    store.put("Drift", "drift", {"drift.json": json.loads(report.to_json())})
    run, charts = store.summarize(RANKING)
    assert run.drift == report
    assert "  !   user is skewed." in verdict_lines(run)
    write_html(run, charts, tmp_path / "report.html")
    assert "user is skewed." in (tmp_path / "report.html").read_text()


def test_where_a_warm_start_came_from(tmp_path: Path):
    store = Store(tmp_path, "ranking")
    started = {"warm_start": {"sentences": ["started from /m: 4 of 5 rows of user kept"]}}
    store.put("Trainer", "model_run", {"training.json": started})
    run, charts = store.summarize(RANKING)
    assert run.warm_start == ("started from /m: 4 of 5 rows of user kept",)
    line = "  warm start: started from /m: 4 of 5 rows of user kept"
    assert line in verdict_lines(run)
    html = tmp_path / "report.html"
    write_html(dataclasses.replace(run, metrics={"auc": 0.7}), charts, html)
    assert "Warm start: started from /m: 4 of 5 rows of user kept." in html.read_text()


def test_without_a_warm_start_nothing_is_said(tmp_path: Path):
    store = Store(tmp_path, "ranking")
    store.put("Trainer", "model_run", {"training.json": {"warm_start": None}})
    assert store.summarize(RANKING)[0].warm_start == ()


def test_refused(tmp_path: Path, texts: list[str]):
    store = Store(tmp_path, "en-de")
    found = verdict({OVERALL: BASELINE}, None) | {"blessed": False}
    store.put("Evaluator", "evaluation", {"verdict.json": found})
    run, _ = store.summarize(TRANSLATION)
    assert (run.status, run.blessed, run.pushed_model) == ("refused", False, None)


@pytest.mark.parametrize(
    ("enabled", "pushed", "expected"),
    [
        (True, {"pushed": 1, "pushed_destination": "/s/7"}, ("pushed", "/s/7", None)),
        (False, {"pushed": 0, "not_pushed": "It is off."}, ("blessed", None, "It is off.")),
        (True, {"pushed": 0, "not_pushed": "It is bad."}, ("refused", None, "It is bad.")),
    ],
)
def test_what_became_of_a_good_model(
    tmp_path: Path,
    texts: list[str],
    enabled: bool,
    pushed: dict[str, Any],
    expected: tuple[str, str | None, str | None],
):
    store = Store(tmp_path, "en-de")
    store.put("Evaluator", "evaluation", {"verdict.json": verdict({OVERALL: BASELINE}, None)})
    store.put("Pusher", "pushed_model", **pushed)
    off = dataclasses.replace(TRANSLATION.push, enabled=enabled)
    run, _ = store.summarize(dataclasses.replace(TRANSLATION, push=off))
    assert (run.status, run.pushed_model, run.not_pushed) == expected
    assert run.blessed is True


def test_spans_without_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Store(tmp_path, "ranking")
    store.put("Ingest", "examples", spans="[1, 2, 3]")
    rows = ingest_summary.Summary(5, spans=Counter({"1": 2, "3": 3}))
    monkeypatch.setattr(data_summary, "_ingested", lambda _: rows)
    run, _ = store.summarize(RANKING)
    assert run.split_note == "test is the newest span, 3. Without any rows: span 2."
    rows.spans.clear()  # of a version that did not count them
    run, _ = store.summarize(RANKING)
    assert "Without" not in run.split_note


def test_vocabulary():
    assert vocabulary_figures({}) == {}
    assert vocabulary_notes({}) == ()
    found = {
        "settings": {"size": 8000},
        "notes": ["It has fewer subwords than wanted."],
        "source": {"size": 70, "subwords_per_word": None, "longest": 9, "uncovered": []},
        "target": {"size": 80, "unknown_share": 0.01, "uncovered": [["\u2603", 1200], ["x", 1]]},
    }
    assert vocabulary_figures(found) == {
        "source": {"size": 70, "longest": 9},
        "target": {"size": 80, "unknown_share": 0.01},
    }
    assert vocabulary_notes(found) == (
        "It has fewer subwords than wanted.",
        "Not covered, target: \u2603 (1,200), x (1).",
    )


def test_the_figures_are_those_that_are_measured():
    counts = SideCounts(texts=Counter({"ab": 2}), sentences=1, longest=["ab ab"])
    model = subwords.train({"ab": 2}, VocabularyConfig(size=16))
    assert set(FIGURES) <= set(coverage.figures(model, counts, by_word=True))


def test_natural_order():
    names = ["a=11-20", "a=1-5", "b", "a=6-10", "a=100"]
    assert sorted(names, key=summary._natural) == ["a=1-5", "a=6-10", "a=11-20", "a=100", "b"]


def test_a_verdict_is_read_back_with_all_its_numbers(tmp_path: Path):
    (tmp_path / "verdict.json").write_text(json.dumps(verdict({OVERALL: CANDIDATE}, None)))
    assert Verdict.load(str(tmp_path)).candidate[OVERALL] == CANDIDATE


CHECKED = CheckReport(
    ok=False, findings=(CheckFinding(ok=False, text="It was slow."),), command="babelrank check x"
)


@pytest.mark.parametrize(
    ("blessed", "status", "told"),
    [(True, "Refused by the serving check", CHECKED), (False, "Refused", None)],
)
def test_a_model_that_cannot_be_served(
    tmp_path: Path, texts: list[str], blessed: bool, status: str, told: CheckReport | None
):
    store = Store(tmp_path, "en-de")
    found = verdict({OVERALL: BASELINE}, None) | {"blessed": blessed}
    store.put("Evaluator", "evaluation", {"verdict.json": found})
    store.put("ServingCheck", "blessing", {"check.json": dataclasses.asdict(CHECKED)})
    store.put("Pusher", "pushed_model", pushed=0)
    run, charts = store.summarize(TRANSLATION)
    assert (run.status, run.blessed, run.check) == ("refused", blessed, told)
    assert headline(run) == status
    said = ["  NO  serving check: It was slow.", "  to repeat the serving check: babelrank check x"]
    assert [line for line in verdict_lines(run)[1:] if "serving" in line] == (said if told else [])
    assert json.loads((tmp_path / "ServingCheck" / "check.json").read_text())["ok"] is False
    write_html(run, charts, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert ("<code>babelrank check x</code>" in html) == blessed


def test_a_blessing_by_force(tmp_path: Path, texts: list[str]):
    store = Store(tmp_path, "en-de")
    found = verdict({OVERALL: BASELINE}, None) | {"forced": "A holiday."}
    store.put("Evaluator", "evaluation", {"verdict.json": found})
    store.put("Pusher", "pushed_model", pushed=1, pushed_destination="/models/1")
    run, charts = store.summarize(TRANSLATION)
    assert run.forced == "A holiday."
    assert verdict_lines(run)[0].startswith("PUSHED, forced  ")
    assert "  !   forced past the gate: A holiday." in verdict_lines(run)
    write_html(run, charts, tmp_path / "report.html")
    assert "The recorded reason: A holiday." in (tmp_path / "report.html").read_text()


def test_without_raw_rows(tmp_path: Path, texts: list[str]):
    store = Store(tmp_path, "en-de")
    store.put("Evaluator", "evaluation", {"verdict.json": verdict({OVERALL: BASELINE}, None)})
    assert store.summarize(TRANSLATION)[1].samples
    hidden = dataclasses.replace(TRANSLATION, report=ReportConfig(raw_rows=False))
    run, charts = store.summarize(hidden)
    assert (run.raw_rows, charts.samples) == (False, ())


def test_lineage_as_far_as_the_run_came(tmp_path: Path, texts: list[str]):
    store = Store(tmp_path, "en-de")
    assert store.summarize(TRANSLATION)[0].lineage == ()
    counts = ingest_summary.Summary(5, written=Counter({"train": 4}))
    store.put("Ingest", "quarantine", {"summary.json": json.loads(counts.to_json())})
    sides = {"source": {"size": 80}, "settings": {"shared": True}, "carried_over_from": "/v"}
    store.put("SubwordVocabulary", "subwords", {"summary.json": sides})
    store.put("Trainer", "model")
    store.put(
        "Evaluator",
        "evaluation",
        {"verdict.json": verdict({OVERALL: CANDIDATE}, {OVERALL: BASELINE})},
    )
    lineage = store.summarize(TRANSLATION)[0].lineage
    assert [(one.name, one.beside) for one in lineage] == [
        *(("Data", False), ("Vocabulary", False), ("Model", False)),
        *(("Baseline", True), ("Gate", False)),
    ]
    assert lineage[0].lines == ("4 of 5 rows",)
    assert lineage[1].lines == ("carried over", "80 subwords, shared")
    assert lineage[4].lines == ("blessed", "BLEU 31.0", "on test")


def test_the_run_that_made_a_model(tmp_path: Path):
    store = Store(tmp_path, "en-de")
    store.put("Trainer", "model")
    artifacts = RunArtifacts(store.metadata, "en-de", "r")
    model = artifacts.get("Trainer", "model")
    assert model is not None
    assert artifacts.run_of(model) == "r"
    assert artifacts.taken("Trainer", "base_model") is None
    assert RunArtifacts(None, "en-de", "r").run_of(model) is None
