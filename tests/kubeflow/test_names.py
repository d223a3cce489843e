"""Tests of names for Kubeflow and Argo."""

from __future__ import annotations

import pytest

from babelrank.pipelines.kubeflow.names import pipeline_name, step_name


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("Ingest", "ingest"),
        ("StatisticsGen", "statistics-gen"),
        ("TFJobTrainer", "tf-job-trainer"),
        ("last_model.2", "last-model-2"),
    ],
)
def test_steps(node: str, name: str) -> None:
    assert step_name(node) == name


def test_pipelines() -> None:
    assert pipeline_name("Shop_clicks-2") == "shop-clicks-2"
