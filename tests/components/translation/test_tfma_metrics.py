"""Tests of the translation metrics in TFMA, by themselves and through real models.

The models are look-ups: the translation of an example is its feature `good` or `poor`, which goes
through an op of tensorflow-text on the way, as in a real translation model.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
import tensorflow_text as tf_text
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from babelrank.components.config import from_dict
from babelrank.components.errors import InputError
from babelrank.components.evaluation.evaluator import (
    BASELINE,
    CANDIDATE,
    Executor,
    Verdict,
    eval_config,
    overall_texts,
)
from babelrank.components.evaluation.gate import TranslationEvaluationConfig, to_json
from babelrank.components.evaluation.verdict import OVERALL
from babelrank.components.translation import metrics, tfma_metrics
from babelrank.components.translation.tfma_metrics import SAMPLES, SIGNATURES, Sample, metric_names

BEAM = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]
ROWS = 150
WORDS = ["der", "die", "Katze", "Hund", "sitzt", "auf", "Matte", "Über", "naïve", ",", "."]

_random = random.Random(3)
TARGET = [" ".join(_random.choices(WORDS, k=_random.randint(2, 12))) for _ in range(ROWS)]
SOURCE = [f"source {row} אבג" for row in range(ROWS)]
LENGTH = ["1-5" if len(line.split()) <= 5 else "6-15" for line in TARGET]


def _worse(share: float) -> list[str]:
    return [" ".join(w for w in line.split() if _random.random() > share) for line in TARGET]


GOOD, POOR = _worse(0.1), _worse(0.3)


class TestSamples:
    @staticmethod
    def sample(number: int, chrf: float) -> Sample:
        return Sample(chrf, (number * 37) % 101, f"{number:03}", "r", f"t{number}", None)

    def test_best_worst_and_random(self):
        samples = [self.sample(number, float(number)) for number in range(100)]
        listed = tfma_metrics._listed(samples)
        kinds: dict[str, list[float]] = {}
        for entry in listed:
            kinds.setdefault(entry["kind"], []).append(entry["chrf"])
        assert list(kinds) == ["worst", "random", "best"]
        assert kinds["worst"] == list(range(6))
        assert kinds["best"] == list(range(99, 93, -1))
        assert len(kinds["random"]) == 6
        assert not set(kinds["random"]) & {*kinds["worst"], *kinds["best"]}

    def test_it_does_not_matter_in_which_parts_they_come(self):
        samples = [self.sample(number, number % 7) for number in range(100)]
        parts = [
            s for part in (samples[:30], samples[30:]) for c in tfma_metrics.choose(part) for s in c
        ]
        assert tfma_metrics._listed(parts) == tfma_metrics._listed(samples)
        assert tfma_metrics._listed(samples[::-1]) == tfma_metrics._listed(samples)

    @pytest.mark.parametrize("count", [0, 1, 2, 5])
    def test_few_sentences_are_listed_once(self, count: int):
        samples = [self.sample(number, float(number)) for number in range(count)] * 2
        listed = tfma_metrics._listed(samples)
        assert sorted(entry["source"] for entry in listed) == [f"{n:03}" for n in range(count)]


class Inputs:
    """An example as TFMA gives it."""

    def __init__(self, row: int, models: tuple[str, ...]) -> None:
        self._row, self._models = row, models

    def get_labels(self, model: str | None, output: str | None) -> Any:
        return np.array([TARGET[self._row].encode()], dtype=object)

    def get_predictions(self, model: str | None, output: str | None) -> Any:
        assert (model or "") in self._models
        return np.array((POOR if model == BASELINE else GOOD)[self._row].encode(), dtype=object)

    def get_features(self) -> Any:
        return {"source": np.array([SOURCE[self._row].encode()], dtype=object)}


def combine(models: tuple[str, ...], parts: list[list[int]]) -> dict[tuple[str, str], Any]:
    """Runs the combiner: (model, metric) to value."""
    specs = [tfma.ModelSpec(name=name, is_baseline=name == BASELINE) for name in models]
    (computation,) = tfma_metrics._computations(
        "de", "x", eval_config=tfma.EvalConfig(model_specs=specs), model_names=list(models)
    )
    combiner = computation.combiner
    accumulators = []
    for part in parts:
        accumulator = combiner.create_accumulator()
        for row in part:
            accumulator = combiner.add_input(accumulator, Inputs(row, models))
        accumulators.append(accumulator)
    found = combiner.extract_output(combiner.merge_accumulators(accumulators))
    assert set(found) == set(computation.keys)
    return {(key.model_name, key.name): value for key, value in found.items()}


class TestCombiner:
    @pytest.mark.parametrize("cut", [0, 1, 70, ROWS])
    def test_partial_results_join_in_any_order(self, cut: int):
        rows = list(range(ROWS))
        models = (BASELINE, CANDIDATE)
        whole = combine(models, [rows])
        found = combine(models, [rows[cut:][::-1], [], rows[:cut]])
        assert found == whole

    def test_two_models(self):
        found = combine((BASELINE, CANDIDATE), [list(range(ROWS))])
        good, poor = (metrics.evaluate("de", lines, [TARGET]) for lines in (GOOD, POOR))
        for name in metrics.SCORES:
            assert found[CANDIDATE, name] == pytest.approx(good.scores[name])
            assert found[BASELINE, name] == pytest.approx(poor.scores[name])
        assert {name for model, name in found if model == BASELINE} == set(metric_names(False))
        assert {name for model, name in found if model == CANDIDATE} == {
            *metric_names(True),
            SAMPLES,
            SIGNATURES,
        }
        assert found[CANDIDATE, "bleu_p_value"] < 0.01
        change = good.scores["bleu"] - poor.scores["bleu"]
        low, high = (found[CANDIDATE, f"bleu_change_{end}"] for end in ("low", "high"))
        assert 0 < low < change < high
        assert low < found[CANDIDATE, "bleu_change"] < high

    def test_one_model(self):
        found = combine(("",), [list(range(ROWS))])
        assert {name for _, name in found} == {*metric_names(False), SAMPLES, SIGNATURES}
        assert found["", "examples"] == ROWS
        assert found["", "bleu_low"] < found["", "bleu"] < found["", "bleu_high"]
        for sample in json.loads(found["", SAMPLES]):
            row = SOURCE.index(sample["source"])
            assert (sample["reference"], sample["translation"]) == (TARGET[row], GOOD[row])
            assert sample["baseline"] is None
            chrf = metrics.sentence_chrf(GOOD[row], [TARGET[row]])
            assert sample["chrf"] == pytest.approx(chrf, abs=0.006)

    def test_bytes_that_are_no_text(self):
        assert tfma_metrics._text(b"a\xff") == "a\ufffd"

    @pytest.mark.parametrize("value", [None, 1.5, "text", np.array([[b"a"]], dtype=object)])
    def test_what_is_no_text(self, value: Any):
        if isinstance(value, np.ndarray):
            assert tfma_metrics._text({"nbest": 1, "translation": value}, "translation") == "a"
        else:
            with pytest.raises(InputError, match=r"got .* \(translation\); takes bytes"):
                tfma_metrics._text(value, "translation")


class Lookup(tf.Module):
    """Translates an example by one of its features."""

    def __init__(self, feature: str) -> None:
        super().__init__()
        self._feature = feature

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def translate(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = {self._feature: tf.io.FixedLenFeature([], tf.string)}
        text = tf_text.normalize_utf8(tf.io.parse_example(examples, spec)[self._feature], "NFC")
        return {
            "translation": text,
            "nbest": tf.stack([text, text], 1),
            "scores": tf.zeros([tf.shape(text)[0], 2]),
        }


def _example(row: int) -> bytes:
    values = {"source": SOURCE, "target": TARGET, "good": GOOD, "poor": POOR}
    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value[row].encode()]))
        for name, value in {**values, "source_length": LENGTH}.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


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
            writer.write(_example(row))
    found: dict[str, Any] = {"examples": examples}
    for number, name in enumerate(("good", "poor"), 1):
        model = standard_artifacts.Model()
        model.uri, model.id = str(folder / name), number
        module = Lookup(name)
        tf.saved_model.save(
            module,
            f"{model.uri}/Format-Serving",
            signatures={"serving_default": module.translate},
        )
        found[name] = model
    return found


def evaluate(
    inputs: dict[str, Any], folder: Path, gate: dict[str, Any], candidate: str, baseline: str | None
) -> tuple[Verdict, str]:
    """Runs the executor; the verdict and the evaluation's folder."""
    config = from_dict(TranslationEvaluationConfig, {**gate, "min_slice_examples": 10})
    metric = tfma.MetricConfig(
        class_name="TranslationMetrics",
        module=tfma_metrics.__name__,
        config=json.dumps({"language": "de"}),
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
    Executor(context).Do(
        sources,
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "eval_config": proto_utils.proto_to_json(
                eval_config(config, metric, "target", "translation", None)
            ),
            "example_splits": '["test"]',
            "gate": to_json(config),
        },
    )
    return Verdict.load(evaluation.uri), evaluation.uri


def test_through_models_with_a_baseline(inputs: dict[str, Any], tmp_path: Path):
    gate = {"min_bleu": 10, "max_bleu_drop": 0.5, "significance": 0.05}
    verdict, uri = evaluate(inputs, tmp_path, gate, "poor", "good")
    assert set(verdict.candidate) == {OVERALL, "source_length=1-5", "source_length=6-15"}
    assert verdict.baseline is not None
    for name, found in verdict.candidate.items():
        rows = [i for i in range(ROWS) if name in (OVERALL, f"source_length={LENGTH[i]}")]
        for lines, values in ((POOR, found), (GOOD, verdict.baseline[name])):
            expected = metrics.evaluate(
                "de", [lines[i] for i in rows], [[TARGET[i] for i in rows]]
            ).scores
            assert {key: values[key] for key in metrics.SCORES} == pytest.approx(expected)
            assert values["examples"] == len(rows)
        assert set(found) == set(metric_names(True))
    assert not verdict.blessed
    kept, drop = verdict.findings
    assert kept.ok
    assert "below the last blessed model's" in drop.text
    assert "(p = 0.001)" in drop.text

    texts = overall_texts(uri, CANDIDATE)
    assert "|tok:13a|" in json.loads(texts[SIGNATURES])["bleu"]
    samples = json.loads(texts[SAMPLES])
    assert [sample["kind"] for sample in samples] == ["worst"] * 6 + ["random"] * 6 + ["best"] * 6
    row = SOURCE.index(samples[0]["source"])
    assert (samples[0]["translation"], samples[0]["baseline"]) == (POOR[row], GOOD[row])


def test_first_run_through_a_model(inputs: dict[str, Any], tmp_path: Path):
    verdict, uri = evaluate(inputs, tmp_path, {"min_bleu": 10, "slices": []}, "good", None)
    assert verdict.blessed
    assert verdict.baseline is None
    assert set(verdict.candidate) == {OVERALL}
    assert set(verdict.candidate[OVERALL]) == set(metric_names(False))
    assert set(overall_texts(uri, "")) == {SAMPLES, SIGNATURES}


def test_a_model_is_no_different_from_itself(inputs: dict[str, Any], tmp_path: Path):
    gate = {"max_bleu_drop": 0, "min_bleu_gain": 0, "significance": 0.05, "first_run": "refuse"}
    verdict, _ = evaluate(inputs, tmp_path, gate, "good", "good")
    assert verdict.candidate[OVERALL]["bleu_p_value"] == 1
    assert [finding.ok for finding in verdict.findings] == [True, False]
