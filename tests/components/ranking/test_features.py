"""Descriptions of features."""

import json

import pytest

from babelrank.components.ranking.features import Features, SparseFeature


def test_features_survive_json():
    features = Features((SparseFeature("user", 10), SparseFeature("tags", 5, True)), 3)
    assert Features.from_dict(json.loads(json.dumps(features.to_dict()))) == features


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SparseFeature("user", 0), "user: size: got 0; takes 1 or more"),
        (lambda: SparseFeature("label", 3), "label: the name is taken"),
        (lambda: Features((SparseFeature("a", 1), SparseFeature("a", 2)), 0), "a: stands twice"),
        (lambda: Features((), -1), "dense_width: got -1; takes 0 or more"),
        (lambda: Features((), 0), "features: got none"),
    ],
)
def test_wrong_features(make, message):
    with pytest.raises(ValueError, match=message):
        make()
