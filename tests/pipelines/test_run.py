"""What a run refuses before it does anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from babelrank.components.config import from_dict
from babelrank.components.errors import DeviceError
from babelrank.pipelines.config import RankingConfig, TranslationConfig
from babelrank.pipelines.run import run_pipeline

DATA: dict[str, dict[str, Any]] = {
    "ranking": {"path": "none/*.csv", "label": "y", "categorical": ["user"]},
    "translation": {
        "path": "none/*.tsv",
        "source": {"language": "en", "column": 0},
        "target": {"language": "de", "column": 1},
    },
}
GATES = {"ranking": {"min_auc": 0.6}, "translation": {"min_bleu": 1}}


@pytest.mark.parametrize("task", DATA)
@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ({"device": "gpu"}, "training.strategy.device: got gpu, and TensorFlow finds no GPU here"),
        ({"name": "mirrored", "devices": 99}, "training.strategy.devices: got 99, and there are"),
        ({"name": "multi_worker_mirrored"}, "needs the environment variable TF_CONFIG"),
    ],
)
def test_missing_devices_are_an_error_before_data_are_read(
    task: str, strategy: dict[str, Any], message: str, tmp_path: Path
) -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    kind = RankingConfig if task == "ranking" else TranslationConfig
    plain = {"data": DATA[task], "evaluation": GATES[task], "training": {"strategy": strategy}}
    config = from_dict(kind, plain)
    steps: list[Any] = []
    with pytest.raises(DeviceError, match=message):
        run_pipeline(config, tmp_path / "out", lambda *step: steps.append(step))
    assert not steps
    assert not (tmp_path / "out").exists()
