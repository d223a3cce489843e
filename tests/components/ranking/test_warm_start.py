"""A ranking model that starts from another one's export: rows by hand, real preprocessing.

The earlier model's row i of every table holds i, the new model's rows hold -1.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.config import from_dict
from babelrank.components.ranking import meanings, signatures
from babelrank.components.ranking.config import DataConfig, ModelConfig, TransformConfig
from babelrank.components.ranking.features import Features, SparseFeature
from babelrank.components.ranking.model import Ranking
from babelrank.components.ranking.preprocessing import Columns, model_features
from babelrank.components.ranking.task import RankingTask, RankingTaskConfig
from babelrank.components.training import warm_start
from babelrank.components.training.tables import RowCount

DATA = {"path": "x", "label": "y", "categorical": ["user", "place"], "dense": ["price"]}
COLUMNS = Columns(
    from_dict(DataConfig, DATA),
    from_dict(TransformConfig, {"vocabularies": {"place": {"hash_buckets": 2}}}),
)
# Rows of the tables: user 0 missing, 1 a, 2 b, 3 c, 4 unknown; place 5 missing, 6 and 7.
BEFORE = "aaabbc"


def examples(users: str) -> list[dict[str, list[Any]]]:
    return [{"user": [u], "place": ["p"], "price": [1.0], "label": [1.0]} for u in users]


def task_of(output: Any, folder: Path, source: str | None, **model: Any) -> Any:
    """As the trainer makes it."""
    features = model_features(COLUMNS, output.vocabulary_size_by_name)
    request = warm_start.requested(
        SimpleNamespace(base_model=source),
        "blessed" if source else None,
        folder,
        remarks=meanings.remarks(COLUMNS),
    )
    return RankingTask(
        RankingTaskConfig(
            features=features,
            model=ModelConfig(**{"preset": "tiny"} | model),
            warm_start=request,
            meanings=meanings.of_features(COLUMNS, features, output.vocabulary_by_name),
        )
    )


def table(model: Ranking) -> tf.Variable:
    return model.weights[0]


@pytest.fixture(scope="module")
def exported(analyze: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Folder of the earlier model, and its weights."""
    folder = tmp_path_factory.mktemp("earlier")
    output, _ = analyze(COLUMNS, examples(BEFORE))
    task = task_of(output, folder / "work", None)
    model = task.build_model()
    table(model).assign(tf.tile(tf.range(8, dtype=tf.float32)[:, None], [1, 8]))
    features = task.task_config.features
    serving = signatures.ServingModel(model, output, COLUMNS, features)
    signatures.save(serving, str(folder / "1"))
    warm_start.describe(task.rows(model), str(folder / "1"))
    task.initialize(model)  # describes the rows beside the checkpoint
    tf.train.Checkpoint(model=model).write(str(folder / "work" / "best" / "ckpt"))
    return folder, model.get_weights()


@pytest.fixture
def output() -> Any:
    """What Transform would say after the examples of the new model: the commonest first."""
    tokens = [b"d", b"c", b"a"]
    return SimpleNamespace(
        vocabulary_size_by_name=lambda name: len(tokens), vocabulary_by_name=lambda name: tokens
    )


@pytest.mark.parametrize("source", ["1", "", "work"])
def test_rows_by_token(exported: tuple[Path, Any], output: Any, tmp_path: Path, source: str):
    folder, weights = exported
    task = task_of(output, tmp_path, str(folder / source))
    model = task.build_model()
    table(model).assign(tf.fill([8, 8], -1.0))
    task.initialize(model)
    np.testing.assert_array_equal(table(model)[:, 0], [0, -1, 3, 1, 4, 5, 6, 7])
    assert task.started.rows == (
        RowCount(name="user", kept=4, new=1, dropped=1),
        RowCount(name="place", kept=3, new=0, dropped=0),
    )
    assert task.started.fresh == ()
    assert task.started.notes == meanings.remarks(COLUMNS)
    for before, now in zip(weights[1:], model.get_weights()[1:], strict=True):
        np.testing.assert_array_equal(before, now)


def test_another_network_keeps_what_fits(exported: tuple[Path, Any], output: Any, tmp_path: Path):
    folder, weights = exported
    task = task_of(output, tmp_path, str(folder), top_stack=(16,), dropout=0.5)
    model = task.build_model()
    first = model._top_stack._stack[0].kernel.numpy()
    task.initialize(model)
    assert task.started.kept == 5  # the bottom stack, and the last bias
    shapes = sorted(path.partition(" ")[2] for path in task.started.fresh)
    assert shapes == ["(was 11 x 32, is 11 x 16)", "(was 32 x 1, is 16 x 1)", "(was 32, is 16)"]
    np.testing.assert_array_equal(model._top_stack._stack[0].kernel, first)
    np.testing.assert_array_equal(model.get_weights()[1], weights[1])
    assert "begun anew: _top_stack/_stack/0/" in task.started.sentences()[1]


def test_dropout_does_not_matter(exported: tuple[Path, Any], output: Any, tmp_path: Path):
    folder, _ = exported
    task = task_of(output, tmp_path, str(folder), dropout=0.5)
    task.initialize(task.build_model())
    assert (task.started.kept, task.started.fresh) == (8, ())


def test_a_feature_may_get_another_width(tmp_path: Path):
    """With widths of their own, features move from one table to another."""
    features = Features((SparseFeature("user", 3), SparseFeature("item", 2)), 0)

    def made(folder: Path, source: str | None, **dims: int) -> tuple[RankingTask, Ranking]:
        request = warm_start.Request(folder=str(folder), source=source)
        network = ModelConfig(
            preset="tiny", interaction="cross", embedding_dim=4, embedding_dims=dims
        )
        task = RankingTask(RankingTaskConfig(features=features, model=network, warm_start=request))
        return task, task.build_model()

    task, before = made(tmp_path / "a", None, item=2)
    task.initialize(before)
    path = tf.train.Checkpoint(model=before).write(str(tmp_path / "a" / "ckpt"))
    task, now = made(tmp_path / "b", path, user=2, item=2)
    task.initialize(now)
    assert task.started.rows == (
        RowCount(name="user", kept=0, new=3, dropped=3),
        RowCount(name="item", kept=2, new=0, dropped=0),
    )
    assert task.started.notes == ("no rows of user kept: its table was 4 wide",)
    item = before._embedding_layer.table_2
    np.testing.assert_array_equal(now._embedding_layer.table_2[3:], item)
