"""Tests of the whole configuration: what one section demands of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from babelrank.components.config import commented_yaml, from_dict, load_yaml, to_dict
from babelrank.components.errors import ConfigError
from babelrank.pipelines.config import RankingConfig

MINIMAL: dict[str, Any] = {
    "data": {"path": "a.csv", "label": "y", "categorical": ["user"], "dense": ["price"]},
    "evaluation": {"min_auc": 0.6},
}


def config(**sections: Any) -> RankingConfig:
    """The minimal configuration with keys of its sections changed."""
    merged = {
        name: {**MINIMAL.get(name, {}), **value} if isinstance(value, dict) else value
        for name, value in {**MINIMAL, **sections}.items()
    }
    return from_dict(RankingConfig, merged)


def test_minimal_and_round_trip():
    assert config().name == "ranking"
    assert from_dict(RankingConfig, to_dict(config())) == config()
    assert from_dict(RankingConfig, yaml.safe_load(yaml.safe_dump(to_dict(config())))) == config()


def test_printed_default_loads_and_holds_the_defaults(tmp_path: Path):
    path = tmp_path / "ranking.yaml"
    path.write_text(commented_yaml(RankingConfig), encoding="utf-8")
    found = load_yaml(RankingConfig, path)
    data = {
        "path": "logs/day={SPAN}/*.csv.gz",
        "label": "clicked",
        "timestamp": "ts",
        "categorical": ["user_id", "item_id"],
        "dense": ["price"],
    }
    gate = {"min_auc": 0.6, "max_auc_drop": 0.002}
    assert found == from_dict(RankingConfig, {"data": data, "evaluation": gate})


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"name": "my pipeline"}, r"^name: got 'my pipeline'; takes at most 100 letters"),
        ({"name": ""}, "^name: got ''"),
        ({"splits": {"by": "time"}}, r"^splits\.by: time needs data\.timestamp"),
        (
            {"transform": {"time_features": ["hour"]}},
            r"^transform\.time_features: needs data\.times",
        ),
        (
            {
                "data": {"timestamp": "ts", "categorical": ["hour"]},
                "transform": {"time_features": ["hour"]},
            },
            r"^transform\.time_features: hour is a column already",
        ),
        (
            {"transform": {"vocabularies": {"price": {}}}},
            r"^transform\.vocabularies\.price: takes one of user\.$",
        ),
        (
            {"transform": {"dense_by_feature": {"user": "log"}}},
            r"^transform\.dense_by_feature\.user: takes one of price\.$",
        ),
        (
            {"data": {"dense": []}, "transform": {"dense_by_feature": {"price": "log"}}},
            r"^transform\.dense_by_feature\.price: there is no such column\.$",
        ),
        (
            {"model": {"interaction": "cross", "embedding_dims": {"price": 4}}},
            r"^model\.embedding_dims\.price: takes one of user\.$",
        ),
        (
            {"model": {"bottom_stack": [64, 8]}},
            r"^model\.bottom_stack: the last layer has 8 units; takes embedding_dim, 16",
        ),
        (
            {"data": {"categorical": ["weight"]}},
            "^data: weight is a name that BabelRank uses itself",
        ),
        ({"data": {"multivalent": {"dense_features": "|"}}}, "^data: dense_features is a name"),
        (
            {"data": {"training_only": {"user": "a", "price": 0}}},
            r"^data\.training_only: holds all features; serving needs one",
        ),
        ({"evaluation": {"slices": ["price"]}}, r"^evaluation\.slices: price is no categorical"),
        ({"evaluation": {"slices": ["user*hour"]}}, r"^evaluation\.slices: hour is no categorical"),
        (
            {
                "data": {"weight": "w"},
                "evaluation": {"max_auc_drop": 0.1, "significance": 0.05},
            },
            r"^evaluation\.significance: DeLong's test knows no weights; takes null with",
        ),
        (
            {"evaluation": {"query": "price", "min_ndcg": 0.5}},
            r"^evaluation\.query: takes one of user\.$",
        ),
        (
            {"evaluation": {"max_rmse": 1}},
            r"^evaluation\.max_rmse: rmse is not measured for objective: click; takes bounds on",
        ),
        (
            {"data": {"objective": "rating"}},
            r"^evaluation\.min_auc: auc is not measured for objective: rating; takes .* rmse",
        ),
        (
            {"drift": {"features": {"usr": 0.1}}},
            r"^drift\.features\.usr: there is no such feature; takes label, user, price\.$",
        ),
        ({"splits": {"eval": 0}}, r"^splits\.eval: got 0; training needs an eval split"),
        ({"splits": {"eval": 0.5, "test": 0.5}}, r"^splits\.eval \+ test: got 1\.0; takes less"),
        ({"spans": {"window": 0}}, r"^spans\.window: got 0; takes 1 or more"),
        ({"ingest": {"max_bad_fraction": 2}}, r"^ingest\.max_bad_fraction: got 2\.0; takes 0 to 1"),
        ({"ingest": {"compression_level": 0}}, r"^ingest\.compression_level: got 0; takes 1 to 9"),
    ],
)
def test_errors(sections: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        config(**sections)


def test_missing_sections():
    with pytest.raises(ConfigError, match=r"^data: missing; takes a mapping with path, format"):
        from_dict(RankingConfig, {"evaluation": {"min_auc": 0.6}})
    with pytest.raises(ConfigError, match=r"^evaluation: missing; takes a mapping with min_auc"):
        from_dict(RankingConfig, {"data": MINIMAL["data"]})


@pytest.mark.parametrize(
    "sections",
    [
        {
            "evaluation": {"slices": ["user", "user*genres"]},
            "data": {"multivalent": {"genres": "|"}},
        },
        {"model": {"bottom_stack": [64, 8], "embedding_dim": 8}},
        {"model": {"bottom_stack": [64, 8], "interaction": "cross"}},
        {"model": {"bottom_stack": [64, 8]}, "data": {"dense": []}},
        {
            "model": {"interaction": "cross", "embedding_dims": {"price": 4}},
            "transform": {"dense": "bucketize"},
        },
        {
            "data": {"timestamp": "ts"},
            "splits": {"by": "time"},
            "transform": {"time_features": ["hour"]},
        },
    ],
)
def test_what_is_allowed(sections: dict[str, Any]):
    built = config(**sections)
    assert from_dict(RankingConfig, to_dict(built)) == built


def test_the_gate_s_split():
    assert config().splits.gate == "test"
    assert config(splits={"test": 0}).splits.gate == "eval"
    assert config(splits={"test": 0, "test_path": "t.csv"}).splits.gate == "test"
