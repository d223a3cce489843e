"""Several workers in both graphs, and without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tfx.orchestration.local import runner_utils

from babelrank.components.config import from_dict
from babelrank.components.errors import DeviceError
from babelrank.components.training import tf_job
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig
from babelrank.pipelines.graph import compiled
from babelrank.pipelines.run import graph_function, run_pipeline

RANKING: dict[str, Any] = {
    "data": {"path": "none/*.csv", "label": "y", "categorical": ["user"]},
    "evaluation": {"min_auc": 0.6},
}
TRANSLATION: dict[str, Any] = {
    "data": {"path": "none/*.tsv", "source": "en", "target": "ja"},
    "evaluation": {"min_bleu": 20},
}
KINDS: list[tuple[type[PipelineConfig], dict[str, Any]]] = [
    (RankingConfig, RANKING),
    (TranslationConfig, TRANSLATION),
]


@pytest.mark.parametrize(("kind", "values"), KINDS)
@pytest.mark.parametrize(
    ("workers", "executor"),
    [
        (1, "tfx.components.trainer.executor.GenericExecutor"),
        (2, "babelrank.components.training.tf_job_executor.Executor"),
    ],
)
def test_what_runs_the_trainer(
    workers: int, executor: str, kind: type[PipelineConfig], values: dict[str, Any]
) -> None:
    config = from_dict(kind, {**values, "training": {"workers": workers}})
    ir = compiled(graph_function(config)(config, Path("/out")))
    deployment = runner_utils.extract_local_deployment_config(ir)
    assert runner_utils.extract_executor_spec(deployment, "Trainer").class_path == executor


def test_workers_without_a_cluster_are_an_error_before_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(tf_job.VARIABLE, raising=False)
    config = from_dict(RankingConfig, {**RANKING, "training": {"workers": 2}})
    with pytest.raises(DeviceError, match=r"training\.workers: got 2; several workers take a clus"):
        run_pipeline(config, tmp_path / "out", lambda *_: None)
    assert not (tmp_path / "out").exists()
