"""Runtime and privacy configurations of the Model Garden."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.training import runtime_config
from babelrank.components.training.config import PrivacyConfig, TrainingConfig
from babelrank.components.training.runtime_config import DifferentialPrivacyConfig, RuntimeConfig


@pytest.mark.parametrize(
    ("dtype", "scale", "expected"),
    [
        (None, None, None),
        ("float32", 128, None),
        ("bfloat16", "dynamic", None),
        ("float16", None, "dynamic"),
        ("float16", "dynamic", "dynamic"),
        ("float16", 128, 128.0),
    ],
)
def test_only_float16_scales(dtype: str | None, scale: Any, expected: Any) -> None:
    config = RuntimeConfig(mixed_precision_dtype=dtype, loss_scale=scale)
    assert runtime_config.loss_scale(config) == expected


def test_nothing_and_other_objects_do() -> None:
    assert runtime_config.loss_scale(None) is None
    other = SimpleNamespace(mixed_precision_dtype="float16", run_eagerly=True)
    assert runtime_config.loss_scale(other) == "dynamic"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mixed_precision_dtype": "int8"}, "mixed_precision_dtype: got 'int8'; takes one of"),
        ({"loss_scale": 0}, "loss_scale: got 0; takes a number above 0, 'dynamic', or null"),
        ({"loss_scale": "static"}, "loss_scale: got 'static'"),
        ({"num_cores_per_replica": 2}, "got 2 and False; a model is not spread over devices"),
        ({"use_tpu_mp_strategy": True}, "got 1 and True; a model is not spread over devices"),
    ],
)
def test_what_cannot_be_done_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        runtime_config.loss_scale(SimpleNamespace(**fields))


@pytest.mark.parametrize(
    ("fields", "strategy"),
    [
        ({}, {"name": "mirrored", "device": "cpu"}),
        ({"num_gpus": 2}, {"name": "mirrored", "device": "gpu", "devices": 2}),
        ({"num_gpus": -1}, {"name": "mirrored", "device": "gpu"}),
        (
            {"distribution_strategy": "off", "num_gpus": 1},
            {"name": "one_device", "device": "gpu"},
        ),
        ({"distribution_strategy": "tpu", "tpu": "here"}, {"name": "tpu", "tpu": "here"}),
    ],
)
def test_it_says_the_same_in_our_keys(fields: Any, strategy: dict[str, Any]) -> None:
    config = RuntimeConfig(enable_xla=True, mixed_precision_dtype="bfloat16", **fields)
    values = runtime_config.training_values(config)
    assert values == {"precision": "bfloat16", "xla": True, "strategy": strategy}
    made = from_dict(TrainingConfig, values)
    assert (made.precision, made.xla, made.strategy.name) == ("bfloat16", True, strategy["name"])


def test_strategies_that_there_are_not() -> None:
    with pytest.raises(ConfigError, match="distribution_strategy: got 'horovod'; takes one of off"):
        RuntimeConfig(distribution_strategy="horovod")
    with pytest.raises(ConfigError, match="num_gpus: got 2 with distribution_strategy 'off'"):
        RuntimeConfig(distribution_strategy="off", num_gpus=2)


def test_privacy_needs_noise_and_a_norm() -> None:
    runtime_config.check_privacy(PrivacyConfig())
    runtime_config.check_privacy(DifferentialPrivacyConfig(noise_multiplier=0.5))
    with pytest.raises(ConfigError, match=r"dp_config.noise_multiplier: got 0.0; takes a number"):
        runtime_config.check_privacy(DifferentialPrivacyConfig())
    with pytest.raises(ConfigError, match="dp_config.clipping_norm: got None"):
        runtime_config.check_privacy({"clipping_norm": 1.0})
