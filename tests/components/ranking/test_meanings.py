"""What the ids of ranking features stand for."""

from __future__ import annotations

from babelrank.components.config import from_dict
from babelrank.components.ranking.config import DataConfig, TransformConfig
from babelrank.components.ranking.meanings import of_features, remarks
from babelrank.components.ranking.preprocessing import Columns, model_features
from babelrank.components.training.rows import Rows

COLUMNS = Columns(
    from_dict(
        DataConfig,
        {
            "path": "x",
            "label": "y",
            "timestamp": "ts",
            "categorical": ["user", "place"],
            "multivalent": {"tags": "|"},
            "dense": ["price", "rank"],
        },
    ),
    from_dict(
        TransformConfig,
        {
            "time_features": ["hour"],
            "vocabularies": {"place": {"hash_buckets": 4}, "tags": {"oov_buckets": 2}},
            "dense_by_feature": {"rank": "bucketize"},
            "buckets": 3,
        },
    ),
)
VOCABULARIES = {"user": [b"b", "\u00e4".encode(), b"\xff"], "tags": ["x"]}


def test_of_features():
    features = model_features(COLUMNS, lambda name: len(VOCABULARIES[name]))
    meanings = of_features(COLUMNS, features, VOCABULARIES.__getitem__)
    assert meanings == (
        Rows(name="user", numbered=1, tokens=("b", "\u00e4", "\\xff"), shared=1),
        Rows(name="place", numbered=1, shared=4),
        Rows(name="tags", numbered=1, tokens=("x",), shared=2),
        Rows(name="hour", kind="time", numbered=25),
        Rows(name="rank", kind="quantiles", numbered=1, shared=3),
    )
    assert [one.size for one in meanings] == [feature.size for feature in features.sparse]


def test_remarks():
    (remark,) = remarks(COLUMNS)
    assert remark.startswith("dense features are scaled")
    data = from_dict(DataConfig, {"path": "x", "label": "y", "categorical": ["user"]})
    assert remarks(Columns(data, TransformConfig())) == ()
