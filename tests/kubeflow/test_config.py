"""Tests of what a step gets, of its own and from the defaults."""

from __future__ import annotations

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.pipelines.kubeflow.config import KubernetesConfig, TolerationConfig


def test_a_step_over_the_defaults() -> None:
    config = from_dict(
        KubernetesConfig,
        {
            "defaults": {
                "accelerator": "nvidia.com/gpu",
                "env": {"A": "1", "B": "1"},
                "tolerations": [{"key": "x"}],
            },
            "steps": {
                "Trainer": {
                    "accelerators": 4,
                    "env": {"B": "2"},
                    "tolerations": [{"key": "x"}, {"key": "y"}],
                    "retries": 0,
                }
            },
        },
    )
    trainer, other = config.step("Trainer"), config.step("Ingest")
    assert (trainer.accelerator, trainer.accelerators) == ("nvidia.com/gpu", 4)
    assert trainer.env == {"A": "1", "B": "2"}
    assert [one.key for one in trainer.tolerations] == ["x", "y"]
    assert (trainer.retries, trainer.cpu, trainer.memory) == (0, "1", "4Gi")
    assert (other.accelerators, other.retries, other.env) == (None, 2, {"A": "1", "B": "1"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operator": "Exists", "value": "a"}, "takes null with operator: Exists"),
        ({"operator": "Equal", "value": "a"}, "operator: Equal needs one"),
        ({"seconds": 5}, "but for effect: NoExecute"),
    ],
)
def test_taints_that_make_no_sense(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(TolerationConfig, changes)
