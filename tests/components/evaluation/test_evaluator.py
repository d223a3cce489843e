"""Tests of the Evaluator's executor on real examples and models, and of the verdict's file.

The models are look-ups: the score of an example is its feature `good` or `poor`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from sklearn import metrics as sk
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from babelrank.components.artifacts import DriftMeasures
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
from babelrank.components.ranking import tfma_metrics

BEAM = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]

_random = np.random.default_rng(7)
ROWS = 300
OS = np.array(["a", "b", "rare"])[np.r_[np.zeros(160, int), np.ones(130, int), np.full(10, 2)]]
GOOD = _random.uniform(0.05, 0.95, ROWS).astype(np.float32)
POOR = np.round(_random.uniform(0.05, 0.95, ROWS), 1).astype(np.float32)  # with ties
LABEL = (_random.uniform(size=ROWS) < GOOD).astype(np.float32)
WEIGHT = _random.integers(0, 4, ROWS).astype(np.float32)


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

    system = tf.train.BytesList(value=[str(OS[row]).encode()])
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                "good": floats(GOOD[row]),
                "poor": floats(POOR[row]),
                "label": floats(LABEL[row]),
                "sample_weight": floats(WEIGHT[row]),
                "os": tf.train.Feature(bytes_list=system),
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
) -> tuple[Verdict, str, Any]:
    """Runs the executor; the verdict, the evaluation's folder and the blessing."""
    config = from_dict(RankingEvaluationConfig, gate, "evaluation")
    metric = tfma.MetricConfig(
        class_name="RankingMetrics",
        module=tfma_metrics.__name__,
        config=json.dumps({"objective": objective}),
    )
    evaluation = standard_artifacts.ModelEvaluation()
    evaluation.uri = str(folder / "evaluation")
    blessing = standard_artifacts.ModelBlessing()
    blessing.uri = str(folder / "blessing")
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BEAM, tmp_dir=str(folder), unique_id="1"
    )
    sources = {"examples": [inputs["examples"]], "model": [inputs[candidate]]}
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
        assert kept.text == (
            f"auc {verdict.candidate[OVERALL]['auc']:.4f} keeps evaluation.min_auc = 0.4."
        )
        assert not drop.ok
        assert "below the last blessed model's" in drop.text
        assert sliced.text == (
            "calibration in all 2 slices keeps evaluation.each_slice.max_calibration = 5."
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
            assert buckets.shape == (20, 3)
            np.testing.assert_array_equal(buckets[:, 2], 15)
            assert buckets[:, 0].mean() == pytest.approx(scores.mean())
            assert buckets[:, 1].mean() == pytest.approx(LABEL.mean())


def test_first_run_with_weights(inputs: dict[str, Any], tmp_path: Path):
    gate = {"min_auc": 0.5, "max_auc_drop": 0.01, "slices": ["os"], "min_slice_examples": 1}
    verdict, uri, blessing = evaluate(inputs, tmp_path, gate, weight="sample_weight")
    assert verdict.baseline is None
    assert_close(verdict.candidate[OVERALL], expected(OS == OS, GOOD, WEIGHT))
    assert_close(verdict.candidate["os=a"], expected(OS == "a", GOOD, WEIGHT))
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
    assert set(slice_arrays(uri, "")) == {tfma_metrics.BUCKETS}


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
    verdict, _, blessing = evaluate(bad, tmp_path, {"min_auc": 0.5}, candidate="bad")
    assert not verdict.blessed
    assert blessing.get_int_custom_property("blessed") == 0
    broken = [finding.text for finding in verdict.findings if not finding.ok]
    assert broken == ["This very model was rolled back: it shouts."]


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
