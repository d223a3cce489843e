"""Batches of one shape, as XLA and TPUs need them: the same steps, each example judged once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.ranking.task import RankingInputConfig
from babelrank.components.training import strategy as strategies
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.judging import judge
from babelrank.components.training.loop import fit
from babelrank.components.training.progress import Lines
from babelrank.components.training.steps import Steps, check_shapes
from tests.distributed import trainings
from tests.distributed.trainings import TASKS, Training


def static(made: Training, is_training: bool, size: int = 0) -> BatchSource:
    """The batches of a training, all of one shape."""
    source = made.train if is_training else made.evaluation
    path = str(source.store.directory)
    if made.config.__class__.__name__.startswith("Ranking"):
        data: Any = RankingInputConfig(
            path=path, batch_size=size or 32, is_training=is_training, static=True
        )
    else:
        config = made.task.task_config
        data = config.train_data if is_training else config.validation_data
        changes = {"tokens_per_batch": data.max_length * size} if size else {}
        data = dataclasses.replace(data, path=path, store=None, static=True, **changes)
    return made.task.batches(data)


def losses(folder: Path, made: Training, train: BatchSource) -> list[float]:
    result = fit(made.task, made.config, train, None, folder, progress=Lines())
    return [record["loss"] for record in result.history]


@pytest.mark.parametrize("task", TASKS)
def test_xla_makes_no_difference(task: str, tmp_path: Path) -> None:
    plain, compiled = (
        trainings.make(task, tmp_path / "data", steps=12, xla=xla) for xla in (False, True)
    )
    batches = static(plain, True)
    assert not batches.varied
    expected = losses(tmp_path / "plain", plain, batches)
    np.testing.assert_allclose(losses(tmp_path / "xla", compiled, batches), expected, rtol=1e-4)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [3, 64])
def test_each_example_is_judged_once(task: str, size: int, tmp_path: Path) -> None:
    made = trainings.make(task, tmp_path / "data", steps=1)
    steps = Steps(made.task, made.config, tf.distribute.get_strategy(), 1, made.train.varied)
    padded = static(made, False, size)
    shapes = {tuple(tensor.shape) for tensor in tf.nest.flatten(padded.dataset().element_spec)}
    assert {shape[0] for shape in shapes} == {size}
    assert judge(made.task, steps, padded) == pytest.approx(
        judge(made.task, steps, made.evaluation), rel=2e-3
    )


@pytest.mark.parametrize("task", TASKS)
def test_shapes_that_replicas_cannot_share_are_refused(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainings.make(task, tmp_path / "data", steps=1)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    monkeypatch.setattr(strategies, "needs_static_shapes", lambda _: True)
    steps = Steps(made.task, made.config, strategy, 1, made.train.varied)
    steps.batches("train", static(made, True))
    with pytest.raises(ConfigError, match="tpu needs batches of one shape that its 1 replicas"):
        steps.batches("train", made.train)


def test_the_multiple_is_named() -> None:
    check_shapes({"label": tf.TensorSpec([4])}, 8)
    with pytest.raises(ConfigError, match=r"got \(None,\) for each.*a multiple of 8"):
        check_shapes({"label": tf.TensorSpec([None])}, 8)


def test_translation_needs_a_length(tmp_path: Path) -> None:
    made = trainings.make("translation", tmp_path / "data", steps=1)
    data = dataclasses.replace(made.task.task_config.train_data, static=True, max_length=None)
    with pytest.raises(ConfigError, match="max_length: got null; takes a number with xla"):
        made.task.batches(data)
