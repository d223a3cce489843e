"""Tests of the Evaluator's executor on real examples and models, and of the verdict's file.

The models are look-ups: the score of an example is its feature `good` or `poor`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from sklearn import metrics as sk
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from babelrank.components.artifacts import DriftMeasures, Quarantine
from babelrank.components.config import from_dict
from babelrank.components.evaluation import drift_component
from babelrank.components.evaluation.drift import DriftReport, FeatureDrift
from babelrank.components.evaluation.evaluator import (
    BASELINE,
    CANDIDATE,
    Executor,
    Verdict,
    eval_config,
    slice_arrays,
    slice_metrics,
)
from babelrank.components.evaluation.gate import RankingEvaluationConfig, to_json
from babelrank.components.evaluation.verdict import OVERALL, Finding
from babelrank.components.ingest.summary import Summary
from babelrank.components.ranking import tfma_metrics

BEAM = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]

_random = np.random.default_rng(7)
ROWS = 300
OS = np.array(["a", "b", "rare"])[np.r_[np.zeros(160, int), np.ones(130, int), np.full(10, 2)]]
GOOD = _random.uniform(0.05, 0.95, ROWS).astype(np.float32)
POOR = np.round(_random.uniform(0.05, 0.95, ROWS), 1).astype(np.float32)  # with ties
LABEL = (_random.uniform(size=ROWS) < GOOD).astype(np.float32)
WEIGHT = _random.integers(0, 4, ROWS).astype(np.float32)
USER = np.array([f"u{row % 17}" if row % 10 else "" for row in range(ROWS)])  # some have none


class Lookup(tf.Module):
    """Scores an example by one of its features."""

    def __init__(self, feature: str) -> None:
        super().__init__()
        self._feature = feature

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def score(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = {self._feature: tf.io.FixedLenFeature([], tf.float32)}
        return {"score": tf.io.parse_example(examples, spec)[self._feature]}


def example(row: int) -> bytes:
    def floats(value: float) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))

    def texts(value: str) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))

    return tf.train.Example(
        features=tf.train.Features(
            feature={
                "good": floats(GOOD[row]),
                "poor": floats(POOR[row]),
                "label": floats(LABEL[row]),
                "sample_weight": floats(WEIGHT[row]),
                "os": texts(OS[row]),
                **({"user": texts(USER[row])} if USER[row] else {}),
            }
        )
    ).SerializeToString()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Artifacts: the examples (split test) and the two models."""
    folder = tmp_path_factory.mktemp("inputs")
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    examples.split_names = '["test"]'
    split = folder / "examples" / "Split-test"
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(split / "data-0.gz"), "GZIP") as writer:
        for row in range(ROWS):
            writer.write(example(row))
    found: dict[str, Any] = {"examples": examples}
    for number, name in enumerate(("good", "poor"), 1):
        model = standard_artifacts.Model()
        model.uri, model.id = str(folder / name), number
        module = Lookup(name)
        tf.saved_model.save(
            module,
            f"{model.uri}/Format-Serving",
            signatures={"serving_default": module.score},
        )
        found[name] = model
    return found


def evaluate(
    inputs: dict[str, Any],
    folder: Path,
    gate: dict[str, Any],
    candidate: str = "good",
    baseline: str | None = None,
    objective: str = "click",
    weight: str | None = None,
    drift: DriftReport | None = None,
    data: dict[str, Any] | None = None,
) -> tuple[Verdict, str, Any]:
    """Runs the executor; the verdict, the evaluation's folder and the blessing."""
    config = from_dict(RankingEvaluationConfig, gate, "evaluation")
    metric = tfma.MetricConfig(
        class_name="RankingMetrics",
        module=tfma_metrics.__name__,
        config=json.dumps(
            {
                "objective": objective,
                "lift_share": config.lift_share,
                "query": config.query,
                "top_k": config.top_k,
            }
        ),
    )
    evaluation = standard_artifacts.ModelEvaluation()
    evaluation.uri = str(folder / "evaluation")
    blessing = standard_artifacts.ModelBlessing()
    blessing.uri = str(folder / "blessing")
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BEAM, tmp_dir=str(folder), unique_id="1"
    )
    sources = {"examples": [inputs["examples"]], "model": [inputs[candidate]], **(data or {})}
    if baseline is not None:
        sources["baseline_model"] = [inputs[baseline]]
    if drift is not None:
        measures = DriftMeasures()
        measures.uri = str(folder / "drift")
        drift_component.save(drift, measures.uri)
        sources["drift"] = [measures]
    Executor(context).Do(
        sources,
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "eval_config": proto_utils.proto_to_json(
                eval_config(config, metric, "label", "score", weight)
            ),
            "example_splits": '["test"]',
            "gate": to_json(config),
        },
    )
    return Verdict.load(evaluation.uri), evaluation.uri, blessing


def expected(rows: Any, scores: Any, weight: Any = None) -> dict[str, float]:
    """What scikit-learn says."""
    label, score = LABEL[rows], scores[rows].astype(np.float64)
    weights = None if weight is None else weight[rows]
    return {
        "auc": sk.roc_auc_score(label, score, sample_weight=weights),
        "log_loss": sk.log_loss(label, score, sample_weight=weights),
        "pr_auc": sk.average_precision_score(label, score, sample_weight=weights),
        "calibration": np.average(score, weights=weights) / np.average(label, weights=weights),
        "accuracy": sk.accuracy_score(label, score > 0.5, sample_weight=weights),
    }


def assert_close(found: dict[str, float], wanted: dict[str, float]) -> None:
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-6)


@pytest.fixture(scope="module")
def compared(
    inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Verdict, str, Any]:
    """The poor model against the good one, with slices, of which `rare` has 10 examples."""
    gate = {
        "min_auc": 0.4,
        "max_auc_drop": 0.01,
        "slices": ["os"],
        "each_slice": {"max_calibration": 5},
        "min_slice_examples": 11,
    }
    return evaluate(inputs, tmp_path_factory.mktemp("compared"), gate, "poor", "good")


class TestCompared:
    def test_metrics_are_those_of_scikit_learn(self, compared: tuple[Verdict, str, Any]):
        verdict = compared[0]
        for rows, name in ((OS == OS, OVERALL), (OS == "a", "os=a"), (OS == "b", "os=b")):
            assert_close(verdict.candidate[name], expected(rows, POOR))
            assert verdict.baseline is not None
            assert_close(verdict.baseline[name], expected(rows, GOOD))
            assert verdict.candidate[name]["examples"] == rows.sum()

    def test_the_candidate_is_compared_in_pairs(self, compared: tuple[Verdict, str, Any]):
        verdict = compared[0]
        assert verdict.baseline is not None
        found = verdict.candidate[OVERALL]
        difference = found["auc"] - verdict.baseline[OVERALL]["auc"]
        assert found["auc_change"] == pytest.approx(difference)
        assert found["auc_change_low"] < difference < found["auc_change_high"]
        assert 0 < found["auc_p_value"] < 0.05
        for metrics in (found, verdict.baseline["os=b"]):
            assert metrics["auc_low"] < metrics["auc"] < metrics["auc_high"]
        assert "auc_p_value" in verdict.candidate["os=a"]
        assert "auc_p_value" not in verdict.baseline[OVERALL]

    def test_small_slices_are_left_out(self, compared: tuple[Verdict, str, Any]):
        verdict = compared[0]
        assert set(verdict.candidate) == {OVERALL, "os=a", "os=b"}
        assert verdict.baseline is not None
        assert set(verdict.baseline) == {OVERALL, "os=a", "os=b"}

    def test_the_verdict(self, compared: tuple[Verdict, str, Any]):
        verdict = compared[0]
        assert not verdict.blessed
        assert verdict.split == "test"
        kept, drop, sliced = verdict.findings
        worst = max(("os=a", "os=b"), key=lambda name: verdict.candidate[name]["calibration"])
        assert kept.text == (
            f"auc {verdict.candidate[OVERALL]['auc']:.4f} keeps evaluation.min_auc = 0.4."
        )
        assert not drop.ok
        assert "below the last blessed model's" in drop.text
        assert sliced.text == (
            "calibration in all 2 slices keeps evaluation.each_slice.max_calibration = 5 (the "
            f"worst is {worst}: {verdict.candidate[worst]['calibration']:.4f})."
        )

    def test_the_blessing(self, compared: tuple[Verdict, str, Any], inputs: dict[str, Any]):
        blessing = compared[2]
        assert [path.name for path in Path(blessing.uri).iterdir()] == ["NOT_BLESSED"]
        assert blessing.get_int_custom_property("blessed") == 0
        assert blessing.get_string_custom_property("current_model") == inputs["poor"].uri
        assert blessing.get_string_custom_property("baseline_model") == inputs["good"].uri

    def test_curves(self, compared: tuple[Verdict, str, Any]):
        uri = compared[1]
        for model, scores in ((CANDIDATE, POOR), (BASELINE, GOOD)):
            arrays = slice_arrays(uri, model)
            roc = np.reshape(arrays[tfma_metrics.ROC], [-1, 2])
            np.testing.assert_array_equal(roc[[0, -1]], [[0, 0], [1, 1]])
            area = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
            assert area(roc[:, 1], roc[:, 0]) == pytest.approx(sk.roc_auc_score(LABEL, scores))
            buckets = np.reshape(arrays[tfma_metrics.BUCKETS], [-1, 3])
            assert 2 <= len(buckets) <= min(20, len(np.unique(scores)))  # equal scores are together
            assert buckets[:, 2].sum() == 300
            for column, values in enumerate((scores, LABEL)):
                mean = np.average(buckets[:, column], weights=buckets[:, 2])
                assert mean == pytest.approx(values.mean())


def test_metrics_by_query_are_those_of_scikit_learn(inputs: dict[str, Any], tmp_path: Path):
    gate = {"min_ndcg": 0.1, "query": "user", "top_k": 3, "slices": ["os"], "lift_share": 0.25}
    verdict, _, _ = evaluate(inputs, tmp_path, gate, "poor", "good")
    for rows, name in ((OS == OS, OVERALL), (OS == "b", "os=b")):
        found = [rows & (user == USER) for user in np.unique(USER[USER != ""])]
        found = [one for one in found if LABEL[one].any()]
        for scores, metrics in ((POOR, verdict.candidate), (GOOD, verdict.baseline)):
            assert metrics is not None
            each = [sk.ndcg_score([LABEL[one]], [scores[one]], k=3) for one in found]
            assert metrics[name]["ndcg"] == pytest.approx(np.mean(each), rel=1e-6)
            assert metrics[name]["queries"] == len(found)
    best = np.argsort(-GOOD[OS == "b"])[: (OS == "b").sum() // 4]
    assert verdict.baseline is not None
    assert verdict.baseline["os=b"]["lift"] == pytest.approx(
        LABEL[OS == "b"][best].mean() / LABEL[OS == "b"].mean(),
        rel=0.02,  # 32.5 rows, not 32
    )


def test_data_are_refused_and_the_model_blessed_by_force(inputs: dict[str, Any], tmp_path: Path):
    gate = {
        "min_auc": 0.5,
        "data": {"max_quarantined": 0.125, "max_anomalies": 0},
        "force_bless": "the bad rows are known",
    }
    verdict, uri, blessing = evaluate(inputs, tmp_path, gate, data=data_artifacts(tmp_path))
    assert verdict.findings[-4:] == (
        Finding(
            ok=False,
            text="2 of 8 rows (25.00%) are quarantined, most as bad_label (2); evaluation.data."
            "max_quarantined = 0.125 allows no more.",
            kind="data",
        ),
        Finding(
            ok=False,
            text="The data differ from the schema in 1 way; that breaks evaluation.data."
            "max_anomalies = 0.",
            kind="data",
        ),
        Finding(
            ok=True,
            text="Schema anomaly: price (train): Out-of-range values.",
            kind="data",
            note=True,
        ),
        Finding(
            ok=True,
            text="Blessed by force (evaluation.force_bless), although 2 findings say no. The "
            "reason: the bad rows are known. The next models are compared with this one.",
            kind="forced",
            note=True,
        ),
    )
    assert verdict.blessed
    assert verdict.forced == "the bad rows are known"
    assert [path.name for path in Path(blessing.uri).iterdir()] == ["BLESSED"]
    assert blessing.get_string_custom_property("forced") == "the bad rows are known"
    assert Verdict.load(uri) == verdict


def data_artifacts(folder: Path) -> dict[str, Any]:
    """A quarantine with 2 rows of 8, and one anomaly of two splits."""
    quarantine = Quarantine()
    quarantine.uri = str(folder / "quarantine")
    Path(quarantine.uri).mkdir()
    summary = Summary(read=8, quarantined=Counter(bad_label=2), written=Counter(train=6))
    (folder / "quarantine" / "summary.json").write_text(summary.to_json(), encoding="utf-8")
    found = anomalies_pb2.Anomalies()
    found.anomaly_info["price"].short_description = "Out-of-range values"
    anomalies = standard_artifacts.ExampleAnomalies()
    anomalies.uri, anomalies.split_names = str(folder / "anomalies"), '["train", "eval"]'
    for split, content in (("train", found), ("eval", anomalies_pb2.Anomalies())):
        path = folder / "anomalies" / f"Split-{split}" / "SchemaDiff.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(content.SerializeToString())
    return {"quarantine": [quarantine], "anomalies": [anomalies]}


def test_first_run_with_weights(inputs: dict[str, Any], tmp_path: Path):
    gate = {"min_auc": 0.5, "max_auc_drop": 0.01, "slices": ["os"], "min_slice_examples": 1}
    verdict, uri, blessing = evaluate(inputs, tmp_path, gate, weight="sample_weight")
    assert verdict.baseline is None
    assert_close(verdict.candidate[OVERALL], expected(OS == OS, GOOD, WEIGHT))
    assert_close(verdict.candidate["os=a"], expected(OS == "a", GOOD, WEIGHT))
    assert "auc_low" not in verdict.candidate[OVERALL]  # there is no such interval with weights
    assert verdict.candidate["os=rare"]["examples"] == 10
    assert verdict.blessed
    assert [path.name for path in Path(blessing.uri).iterdir()] == ["BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 1
    assert slice_metrics(uri, "") == verdict.candidate


def test_rating(inputs: dict[str, Any], tmp_path: Path):
    verdict, uri, _ = evaluate(inputs, tmp_path, {"max_rmse": 0.1}, objective="rating")
    assert not verdict.blessed
    wanted = {
        "rmse": math.sqrt(sk.mean_squared_error(LABEL, GOOD)),
        "mae": sk.mean_absolute_error(LABEL, GOOD),
        "calibration": GOOD.mean() / LABEL.mean(),
    }
    assert_close(verdict.candidate[OVERALL], wanted)
    assert "auc" not in verdict.candidate[OVERALL]
    assert verdict.findings[-1].text == (
        f"rmse is {wanted['rmse']:.4f}, above evaluation.max_rmse = 0.1."
    )
    assert set(slice_arrays(uri, "")) == {tfma_metrics.BUCKETS, tfma_metrics.SCORES}


@pytest.mark.parametrize("action", ["report", "refuse"])
def test_drift_refuses_only_when_it_may(inputs: dict[str, Any], tmp_path: Path, action: Any):
    sentences = "os drifted.", "os is skewed."
    moved = FeatureDrift(
        feature="os",
        kind="categorical",
        drift=0.5,
        skew=0.5,
        bound=0.1,
        missing=0.0,
        beyond=sentences,
    )
    drift = DriftReport(action=action, split="test", notes=(), features=(moved,))
    verdict, _, blessing = evaluate(inputs, tmp_path, {"min_auc": 0.5}, drift=drift)
    refused = action == "refuse"
    assert verdict.blessed is not refused
    assert blessing.get_int_custom_property("blessed") == (0 if refused else 1)
    broken = [finding.text for finding in verdict.findings if not finding.ok]
    assert broken == (list(sentences) if refused else [])
    assert any("evaluation.min_auc" in finding.text for finding in verdict.findings)


def test_a_model_that_was_rolled_back_is_refused(inputs: dict[str, Any], tmp_path: Path):
    model = standard_artifacts.Model()
    model.uri, model.id = inputs["good"].uri, 9
    model.set_string_custom_property("rolled_back", "it shouts")
    bad = {**inputs, "bad": model}
    gate = {"min_auc": 0.5, "force_bless": "I like it"}
    verdict, _, blessing = evaluate(bad, tmp_path, gate, candidate="bad")
    assert not verdict.blessed
    assert not verdict.forced
    assert blessing.get_int_custom_property("blessed") == 0
    (rolled_back,) = (finding for finding in verdict.findings if not finding.ok)
    forced = verdict.findings[-1]
    assert forced.note
    text = "This very model was rolled back: it shouts."
    assert rolled_back == Finding(ok=False, text=text, kind="rolled_back")
    assert forced.text.startswith("evaluation.force_bless does not bring back a model")


def test_the_blessing_has_what_a_pushed_version_tells(inputs: dict[str, Any], tmp_path: Path):
    examples = standard_artifacts.Examples()
    examples.uri, examples.split_names = inputs["examples"].uri, '["test"]'
    examples.set_string_custom_property("spans", "[3, 4]")
    given = {**inputs, "examples": examples}
    verdict, _, blessing = evaluate(given, tmp_path, {"min_auc": 0.5})
    assert blessing.get_string_custom_property("spans") == "[3, 4]"
    metrics = json.loads(blessing.get_string_custom_property("metrics"))
    assert metrics["auc"] == verdict.candidate[OVERALL]["auc"]
    assert not any(name.endswith(("_low", "_high")) for name in metrics)


def test_verdict_round_trip(tmp_path: Path):
    verdict = Verdict(
        blessed=False,
        split="eval",
        findings=(Finding(ok=False, text="é is 0.1, below 0.2."), Finding(ok=True, text="")),
        candidate={OVERALL: {"auc": 0.5}, "os=a b": {"auc": 0.25}},
        baseline=None,
    )
    verdict.save(str(tmp_path))
    assert Verdict.load(str(tmp_path)) == verdict


def test_a_verdict_of_before_there_were_kinds(tmp_path: Path):
    old = {"blessed": True, "split": "test", "candidate": {}, "baseline": None}
    text = json.dumps({**old, "findings": [{"ok": True, "text": "fine."}]})
    (tmp_path / "verdict.json").write_text(text, encoding="utf-8")
    verdict = Verdict.load(str(tmp_path))
    assert verdict.findings == (Finding(ok=True, text="fine.", kind="model"),)
    assert verdict.forced == ""


def test_verdict_keeps_what_is_not_a_number(tmp_path: Path):
    verdict = Verdict(
        blessed=False,
        split="test",
        findings=(),
        candidate={OVERALL: {"auc": math.nan}},
        baseline={},
    )
    verdict.save(str(tmp_path))
    assert math.isnan(Verdict.load(str(tmp_path)).candidate[OVERALL]["auc"])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_verdict_is_json_whatever_was_measured(tmp_path: Path, value: float):
    metrics = {OVERALL: {"auc": value, "examples": 3.0}}
    Verdict(blessed=False, split="test", findings=(), candidate=metrics, baseline=metrics).save(
        str(tmp_path)
    )

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = (tmp_path / "verdict.json").read_text(encoding="utf-8")
    written = json.loads(text, parse_constant=refuse)
    assert written["candidate"] == written["baseline"] == {OVERALL: {"auc": None, "examples": 3.0}}
    read = Verdict.load(str(tmp_path))
    for side in (read.candidate, read.baseline):
        assert side is not None
        assert math.isnan(side[OVERALL]["auc"])
        assert side[OVERALL]["examples"] == 3.0


def test_a_verdict_of_before_there_was_null(tmp_path: Path):
    text = (
        '{"blessed": true, "split": "test", "findings": [], "candidate": {"overall": '
        '{"auc": NaN}}, "baseline": null}'
    )
    (tmp_path / "verdict.json").write_text(text, encoding="utf-8")
    assert math.isnan(Verdict.load(str(tmp_path)).candidate[OVERALL]["auc"])


KEYS = {
    "overall": (),
    "hour=3 os=ios": (("hour", "3"), ("os", "ios")),
    'hour="3 os=ios"': (("hour", "3 os=ios"),),
    'hour=3 os="ios x=1"': (("hour", "3"), ("os", "ios x=1")),
    'hour="\\"3\\" os=ios"': (("hour", '"3" os=ios'),),
    "hour=3 os": (("hour", "3 os"),),
    'hour="3 "': (("hour", "3 "),),
    "hour=": (("hour", ""),),
    "hour=1 b c=2": (("hour", "1 b"), ("c", "2")),
    'hour=1 "b c"=2': (("hour", "1"), ("b c", "2")),
    "origin=my corpus (2).en": (("origin", "my corpus (2).en"),),
    'origin="a=b.tsv"': (("origin", "a=b.tsv"),),
    'os="a\\nb"': (("os", "a\nb"),),
    "os=größer": (("os", "größer".encode()),),
    "n=3": (("n", 3),),
}


def test_slices_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch):
    metrics = [
        (key, {"score": {"": {"auc": {"doubleValue": float(place)}}}})
        for place, key in enumerate(KEYS.values())
    ]
    found = tfma.EvalResult(metrics, None, None, None, "", "", "")
    monkeypatch.setattr(tfma, "load_eval_result", lambda uri, model_name: found)
    assert slice_metrics("uri", "") == {
        name: {"auc": float(place)} for place, name in enumerate(KEYS)
    }


def test_eval_config():
    config = from_dict(RankingEvaluationConfig, {"min_auc": 0.5, "slices": ["a", "a*b"]})
    found = eval_config(config, tfma.MetricConfig(class_name="M"), "label", "score", None)
    assert [list(spec.feature_keys) for spec in found.slicing_specs] == [[], ["a"], ["a", "b"]]
    (model,) = found.model_specs
    assert (model.label_key, model.prediction_key, model.example_weight_key) == (
        "label",
        "score",
        "",
    )
    assert found.options.min_slice_size.value == 100
