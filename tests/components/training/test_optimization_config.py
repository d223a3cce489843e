"""The classes of an `OptimizationConfig`."""

from __future__ import annotations

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.training.optimization_config import (
    AdamConfig,
    LrConfig,
    OptimizationConfig,
    OptimizerConfig,
    WarmupConfig,
)


def test_the_type_picks_a_field() -> None:
    config = OptimizerConfig(type="adam", adam=AdamConfig(beta_2=0.98))
    assert config.get().beta_2 == 0.98
    assert OptimizerConfig().get() is None


def test_a_mapping_gives_it() -> None:
    config = from_dict(
        OptimizationConfig,
        {
            "optimizer": {"type": "adamw", "adamw": {"exclude_from_weight_decay": ["bias"]}},
            "learning_rate": {"type": "stepwise", "stepwise": {"boundaries": [5]}},
            "ema": {"average_decay": 0.5},
        },
    )
    assert config.optimizer.get().exclude_from_weight_decay == ("bias",)
    assert config.learning_rate.get().boundaries == (5,)
    assert config.ema is not None
    assert config.ema.average_decay == 0.5
    assert config.warmup.get() is None


@pytest.mark.parametrize(
    ("cls", "kind", "message"),
    [
        (OptimizerConfig, "lamb", "type: got 'lamb'; takes one of sgd, adam, adamw, adafactor"),
        (LrConfig, "step_cosine_with_offset", "takes one of constant, stepwise, exponential"),
        (WarmupConfig, "cosine", "type: got 'cosine'; takes one of linear, polynomial"),
    ],
)
def test_what_is_lacking_is_refused_by_name(cls: type, kind: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(type=kind)
