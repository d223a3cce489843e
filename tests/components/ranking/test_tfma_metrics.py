"""Tests of the curves and of the combiner; `test_evaluator.py` runs them in TFMA."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from sklearn import metrics as sk

from babelrank.components.evaluation.gate import METRICS
from babelrank.components.ranking import tfma_metrics
from babelrank.components.ranking.curves import calibration_buckets, roc_curve
from babelrank.components.ranking.tfma_metrics import (
    BUCKETS,
    NO_QUERY,
    ROC,
    Measures,
)


def floats(*values: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(values, np.float32)


@pytest.mark.parametrize("objective", ["click", "rating"])
def test_everything_that_the_gate_may_judge_is_measured(objective: str):
    assert set(METRICS[objective]) <= set(Measures(objective, query="user").names())
    assert "ndcg" not in Measures(objective).names()


def test_roc_by_hand():
    found = roc_curve(floats(1, 0, 1, 0), floats(0.9, 0.8, 0.7, 0.1))
    np.testing.assert_array_equal(found, [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]])


def test_ties_are_one_point():
    found = roc_curve(floats(1, 0, 1, 0), floats(0.5, 0.5, 0.5, 0.1))
    np.testing.assert_array_equal(found, [[0, 0], [0.5, 1], [1, 1]])


def test_roc_with_weights():
    found = roc_curve(floats(1, 0, 1, 0), floats(0.9, 0.8, 0.7, 0.1), floats(3, 1, 1, 0))
    np.testing.assert_array_equal(found, [[0, 0], [0, 0.75], [1, 0.75], [1, 1], [1, 1]])


@pytest.mark.parametrize("labels", [(), (1, 1), (0, 0)])
def test_no_curve_of_one_label(labels: tuple[float, ...]):
    assert roc_curve(floats(*labels), floats(*[0.5] * len(labels))).shape == (0, 2)


def test_a_long_curve_is_thinned():
    random = np.random.default_rng(1)
    scores = random.uniform(size=5000).astype(np.float32)
    labels = (random.uniform(size=5000) < scores).astype(np.float32)
    found = roc_curve(labels, scores)
    assert len(found) <= 401
    np.testing.assert_array_equal(found[[0, -1]], [[0, 0], [1, 1]])
    assert (np.diff(found, axis=0) >= 0).all()
    assert sk.auc(found[:, 0], found[:, 1]) == pytest.approx(
        sk.roc_auc_score(labels, scores), abs=1e-4
    )


def test_buckets_by_hand():
    found = calibration_buckets(floats(1, 0, 0), floats(0.75, 0.25, 0.5))
    np.testing.assert_array_equal(found, [[0.25, 0, 1], [0.5, 0, 1], [0.75, 1, 1]])


def test_buckets_of_equal_size():
    scores = np.arange(40, dtype=np.float32) / 64
    found = calibration_buckets(np.tile(floats(0, 1), 20), scores)
    np.testing.assert_array_equal(found[:, 2], [2] * 20)
    np.testing.assert_array_equal(found[:, 1], [0.5] * 20)
    np.testing.assert_allclose(found[:, 0], (np.arange(20) * 2 + 0.5) / 64)


def test_buckets_with_weights():
    weights = np.zeros(40, np.float32)
    weights[[0, 1]] = [1, 3]
    found = calibration_buckets(np.tile(floats(0, 1), 20), np.arange(40, dtype=np.float32), weights)
    np.testing.assert_array_equal(found, [[0, 0, 1], [1, 1, 1]])  # none without weight
    assert calibration_buckets(floats(), floats()).shape == (0, 3)


class Inputs:
    """An example as TFMA gives it."""

    def __init__(self, label: Any, prediction: Any, weight: Any = None, user: Any = None) -> None:
        self._values = label, prediction, weight
        self._user = user

    def get_features(self) -> Any:
        return None if self._user is None else {"user": self._user}

    def get_labels(self, model: str | None, output: str | None) -> Any:
        return self._values[0]

    def get_predictions(self, model: str | None, output: str | None) -> Any:
        return self._values[1]

    def get_example_weights(self, model: str | None, output: str | None) -> Any:
        return self._values[2]


def combine(
    objective: str, parts: list[list[Inputs]], weighted: bool = False, **settings: Any
) -> dict[str, Any]:
    (computation,) = tfma_metrics._computations(
        objective, "x", example_weighted=weighted, **settings
    )
    combiner = computation.combiner
    accumulators = []
    for part in parts:
        accumulator = combiner.create_accumulator()
        for inputs in part:
            accumulator = combiner.add_input(accumulator, inputs)
        accumulators.append(accumulator)
    found = combiner.extract_output(combiner.merge_accumulators(accumulators))
    assert list(found) == computation.keys
    return {key.name: value for key, value in found.items()}


LABELS, SCORES, WEIGHTS = [1, 0, 1, 0, 1], [0.9, 0.8, 0.7, 0.1, 0.6], [1, 2, 0, 3, 1]


def inputs() -> list[Inputs]:
    rows = zip(LABELS, SCORES, WEIGHTS, strict=True)
    return [Inputs(np.array([y]), np.array([p]), np.array(w)) for y, p, w in rows]


@pytest.mark.parametrize("cut", [0, 2, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_partial_results_join(cut: int, weighted: bool):
    found = combine("click", [inputs()[:cut], [], inputs()[cut:]], weighted)
    weights = WEIGHTS if weighted else None
    assert found["examples"] == 5
    assert found["auc"] == pytest.approx(sk.roc_auc_score(LABELS, SCORES, sample_weight=weights))
    assert found["log_loss"] == pytest.approx(
        sk.log_loss(LABELS, SCORES, sample_weight=weights), rel=1e-6
    )


@pytest.mark.parametrize("size", [1, 5])
def test_curves_have_a_constant_length(size: int):
    found = combine("click", [inputs()[:size]])
    assert (len(found[ROC]), len(found[BUCKETS])) == (401 * 2, 20 * 3)
    assert np.isnan(found[ROC]).any()
    assert set(combine("rating", [inputs()])) == set(Measures("rating").names())
    assert ROC not in combine("rating", [inputs()])


def test_a_slice_with_one_label_has_no_auc():
    found = combine("click", [[Inputs(1, 0.5), Inputs(1, 0.25)]])
    assert np.isnan(found["auc"])
    assert found["calibration"] == 0.375


def test_queries_join_across_parts():
    users = [np.array([b"a"]), np.array([b"b"]), np.array([b"a"]), np.array([]), None]
    rows = zip([1, 1, 0, 1, 1], [0.5, 0.5, 0.9, 0.1, 0.1], users, strict=True)
    examples = [Inputs(label, score, user=user) for label, score, user in rows]
    found = combine("click", [examples[:2], examples[2:]], query="user", top_k=1)
    assert found["queries"] == 2
    assert found["mrr"] == 0.5  # b's click is first, a's is not
    assert found["examples"] == 5


class Two(Inputs):
    """An example with the predictions of two models."""

    def get_predictions(self, model: str | None, output: str | None) -> Any:
        return self._values[1][model or ""]


def test_two_models_are_compared():
    random = np.random.default_rng(0)
    labels, good, poor = random.integers(0, 2, 60), random.random(60), random.random(60)
    good += labels
    rows = zip(labels, good, poor, strict=True)
    examples = [Two(label, {"": one, "baseline": other}) for label, one, other in rows]
    config = tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(name="baseline", is_baseline=True),
            tfma.ModelSpec(name="", is_baseline=False),
        ]
    )
    (computation,) = tfma_metrics._computations(
        "click", "x", eval_config=config, model_names=["baseline", ""]
    )
    combiner = computation.combiner
    halves = []
    for half in (examples[:10], examples[10:]):
        halves.append(combiner.create_accumulator())
        for one in half:
            combiner.add_input(halves[-1], one)
    found = combiner.extract_output(combiner.merge_accumulators(halves))
    assert list(found) == computation.keys
    values = {(key.model_name, key.name): value for key, value in found.items()}
    difference = sk.roc_auc_score(labels, good) - sk.roc_auc_score(labels, poor)
    assert values["", "auc_change"] == pytest.approx(difference)
    assert values["", "auc_p_value"] < 0.001
    assert values["baseline", "auc"] == pytest.approx(sk.roc_auc_score(labels, poor))
    assert values["baseline", "auc_low"] < values["baseline", "auc"]
    assert ("baseline", "auc_p_value") not in values


def test_a_query_has_the_same_number_in_every_process():
    assert tfma_metrics._query({"user": np.array([b"anna"])}, "user") == 7_503_624_139_547_223_366
    assert tfma_metrics._query({"user": None}, "user") == NO_QUERY
    assert tfma_metrics._query(None, "user") == NO_QUERY
