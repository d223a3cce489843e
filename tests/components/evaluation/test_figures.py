"""Tests of the choice of plots, and of precision and recall from a ROC curve."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from babelrank.components.evaluation.figures import figures, precision_recall
from babelrank.components.evaluation.report import Charts
from tests.report.runs import RANKING, RANKING_CHARTS, TRANSLATION, TRANSLATION_CHARTS


def test_precision_and_recall_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    labels = rng.random(500) < 0.2
    scores = np.round(rng.random(500) + 0.3 * labels, 2)
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    found = precision_recall(list(zip(false, true, strict=True)), labels.mean())
    precision, recall, _ = precision_recall_curve(labels, scores)
    expected = sorted(zip(recall[:-1], precision[:-1], strict=True))  # the last is no threshold
    assert np.allclose(sorted(found), expected)


def test_nothing_is_found_at_the_origin() -> None:
    assert precision_recall([(0.0, 0.0), (1.0, 1.0)], 0.25) == [(1.0, 0.25)]


def titles(*args: object) -> list[str]:
    return [title for title, _, _ in figures(*args)]  # type: ignore[arg-type]


def test_plots_of_a_ranking_run() -> None:
    assert titles(RANKING, RANKING_CHARTS) == [
        *("ROC curve", "Precision and recall", "Predicted and actual", "Scores"),
        *("Training loss", "AUC in training"),
    ]
    notes = {title: note for title, note, _ in figures(RANKING, RANKING_CHARTS)}
    assert notes["Precision and recall"] == "Area 0.520; baseline 0.530; guessing 0.240"


def test_plots_of_ratings() -> None:
    rating = dataclasses.replace(RANKING, metrics={"rmse": 0.9, "label_mean": 3.5})
    charts = Charts(calibration=[(2.0, 2.1, 9)], scores=[(1.0, 3.0, 5.0, 6.0)])
    assert titles(rating, charts) == ["Predicted and actual", "Predictions and labels"]


def test_plots_of_a_translation_run() -> None:
    assert titles(TRANSLATION, TRANSLATION_CHARTS) == [
        *("BLEU by length", "Training loss", "BLEU in training"),
    ]


@pytest.mark.parametrize("run", [RANKING, TRANSLATION])
def test_no_data_no_plots(run: object) -> None:
    assert titles(run, Charts()) == []
