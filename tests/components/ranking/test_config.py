"""Tests of the ranking configuration: shorthand of the label, and every value that is refused."""

from __future__ import annotations

from typing import Any

import pytest

from babelrank.components.config import from_dict, to_dict
from babelrank.components.errors import ConfigError
from babelrank.components.ranking.config import (
    DataConfig,
    LabelConfig,
    ModelConfig,
    RankingTrainingConfig,
    TransformConfig,
    VocabularyConfig,
)

DATA = {"path": "log.csv", "label": "clicked", "categorical": ["user"], "dense": ["price"]}


def data(**changes: Any) -> DataConfig:
    return from_dict(DataConfig, {**DATA, **changes}, "data")


def test_label_shorthand():
    assert data().label == LabelConfig(column="clicked")
    assert data(label={"column": "clicked"}) == data()
    assert from_dict(DataConfig, to_dict(data()), "data") == data()


def test_features_in_order():
    config = data(categorical=["b", "a"], multivalent={"m": "|"}, dense=["d"])
    assert config.features == ("b", "a", "m", "d")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 5}, r"^data\.label: got 5; takes a column name or a mapping\.$"),
        ({"label": None}, r"^data\.label: got None; takes a column name"),
        ({"label": {"positive": "> 1"}}, r"^data\.label\.column: missing"),
        ({"label": {"column": "c", "positive": "big"}}, r"^data\.label\.positive: got 'big'; take"),
        ({"label": {"column": "c", "positive": "> x"}}, r"^data\.label\.positive: got '> x'; > c"),
        ({"label": {"column": "c", "missing": "skip"}}, r"^data\.label\.missing: got 'skip'"),
        ({"label": {"column": "c", "range": [1]}}, r"^data\.label\.range: got \[1\.0\]; takes \["),
        ({"label": {"column": "c", "range": [5, 1]}}, r"^data\.label\.range: got \[5\.0, 1\.0\]"),
        (
            {"label": {"column": "c", "range": [1, 5]}},
            r"^data\.label\.range: only for objective: r",
        ),
        (
            {"objective": "rating", "label": {"column": "c", "positive": "> 3"}},
            r"^data\.label\.positive: only for objective: click",
        ),
        ({"format": "cvs"}, r"^data\.format: got 'cvs' \(str\).*Did you mean csv\?"),
        ({"categorical": [], "dense": []}, r"^data\.categorical: no features; name columns in"),
        ({"dense": ["user"]}, r"^data\.categorical and so on: user stands twice; give each column"),
        ({"weight": "clicked"}, r"clicked stands twice"),
        ({"multivalent": {"genres": ""}}, r"^data\.multivalent\.genres: got ''; takes a separator"),
        ({"delimiter": ""}, r"^data\.delimiter: got ''; takes one or more characters"),
        ({"keep_negatives": 0}, r"^data\.keep_negatives: got 0\.0; takes 0 < x <= 1"),
        ({"keep_negatives": 1.5}, r"^data\.keep_negatives: got 1\.5; takes"),
        ({"keep_negatives": 0.5, "objective": "rating"}, r"^data\.keep_negatives: only for object"),
        (
            {"training_only": {"rank": 1}},
            r"^data\.training_only\.rank: not a feature; takes one of ",
        ),
        (
            {"training_only": {"price": "x"}},
            r"^data\.training_only\.price: got 'x'; takes a number",
        ),
        (
            {"training_only": {"user": [1]}},
            r"^data\.training_only\.user: got \[1\]; takes a categor",
        ),
        (
            {"joins": [{"path": "a", "key": "k"}]},
            r"^data\.joins\[0\]\.columns: missing; takes a li",
        ),
    ],
)
def test_data_errors(change: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        data(**change)


def test_a_time_may_be_a_feature_too():
    assert data(timestamp="user").timestamp == "user"


@pytest.mark.parametrize("name", ["min_frequency", "max_size", "oov_buckets"])
def test_vocabulary_bounds(name: str):
    with pytest.raises(ConfigError, match=f"^{name}: got 0; takes 1 or more"):
        VocabularyConfig(**{name: 0})


def test_hash_buckets_bound():
    with pytest.raises(ConfigError, match="^hash_buckets: got 1; takes 2 or more"):
        VocabularyConfig(hash_buckets=1)
    assert VocabularyConfig(hash_buckets=2).hash_buckets == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"buckets": 1}, "^buckets: got 1; takes 2 or more"),
        ({"max_values": 0}, "^max_values: got 0; takes 1 or more"),
        (
            {"time_features": ["hour", "hour"]},
            r"^time_features: got \['hour', 'hour'\]; takes each",
        ),
        ({"time_features": ["month"]}, r"^time_features\[0\]: got 'month'"),
        ({"dense_by_feature": {"price": "square"}}, r"^dense_by_feature\.price: got 'square'"),
        ({"vocabularies": {"user": {"hash": 5}}}, r"^vocabularies\.user\.hash: unknown key"),
    ],
)
def test_transform_errors(change: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        from_dict(TransformConfig, change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding_dims": {"user": 8}}, "^embedding_dims: only for interaction: cross"),
        ({"interaction": "cross", "embedding_dims": {"user": 0}}, r"^embedding_dims\.user: got 0"),
        ({"dropout": 1}, r"^dropout: got 1\.0; takes 0 <= x < 1"),
        ({"embedding_dim": 0}, "^embedding_dim: got 0; takes 1 or more"),
        ({"cross_layers": 0}, "^cross_layers: got 0; takes 1 or more"),
        ({"cross_projection": 0}, "^cross_projection: got 0; takes 1 or more"),
        ({"top_stack": [64, 0]}, r"^top_stack: got \[64, 0\]; takes widths of 1 or more"),
        ({"bottom_stack": [-8]}, r"^bottom_stack: got \[-8\]; takes widths of 1 or more"),
        ({"embedding_l2": -0.1}, r"^embedding_l2: got -0\.1; takes 0 or more"),
    ],
)
def test_model_errors(change: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        from_dict(ModelConfig, change)


def test_presets():
    small = ModelConfig().resolved()
    assert (small.embedding_dim, small.bottom_stack, small.top_stack) == (16, (64, 16), (128, 64))
    tiny = ModelConfig(preset="tiny").resolved()
    assert (tiny.embedding_dim, tiny.bottom_stack, tiny.top_stack) == (8, (32, 8), (32,))
    assert tiny.resolved() == tiny


def test_keys_override_the_preset():
    model = ModelConfig(preset="big", embedding_dim=4, top_stack=(3,)).resolved()
    assert (model.embedding_dim, model.bottom_stack, model.top_stack) == (4, (512, 256, 4), (3,))


def test_an_empty_stack_stays_empty():
    model = ModelConfig(interaction="cross", bottom_stack=(), top_stack=()).resolved()
    assert (model.bottom_stack, model.top_stack) == ((), ())


def test_embeddings_have_an_optimizer_of_their_own():
    config = RankingTrainingConfig()
    assert (config.optimizer.name, config.embedding_optimizer.name) == ("adam", "adagrad")
    assert from_dict(RankingTrainingConfig, to_dict(config)) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, r"^training\.batch_size: got 0; takes 1 or more"),
        ({"epochs": 0}, r"^training\.epochs: got 0; takes 1 or more"),
        (
            {"embedding_optimizer": {"learning_rate": -1}},
            r"^training\.embedding_optimizer\.learning_rate: got -1\.0; takes more than 0",
        ),
    ],
)
def test_errors_of_the_training(change: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        from_dict(RankingTrainingConfig, change, "training")


@pytest.mark.parametrize(
    ("rows", "batch"), [(1, 64), (21_265, 64), (80_000, 256), (179_100, 512), (10_000_000, 1024)]
)
def test_the_batch_size_follows_from_the_rows(rows: int, batch: int):
    assert RankingTrainingConfig().batch_size_for(rows) == batch
    assert RankingTrainingConfig(batch_size=7).batch_size_for(rows) == 7
