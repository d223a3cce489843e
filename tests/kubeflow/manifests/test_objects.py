"""The pods of a FlinkDeployment are merged as the Flink operator merges them."""

from __future__ import annotations

import copy
from typing import Any

from tests.kubeflow.manifests.objects import FLINK_BY_NAME, FLINK_MAIN, merged, of_kind, pods
from tests.kubeflow.manifests.tools import Document

COMMON: list[dict[str, Any]] = [{"name": "a", "x": 1}, {"name": "b", "x": 1}]
OWN: list[dict[str, Any]] = [{"name": "a", "y": 2}, {"name": "c", "y": 2}]


def test_lists_are_merged_by_place() -> None:
    assert merged(COMMON, OWN, by_name=False) == [
        {"name": "a", "x": 1, "y": 2},
        {"name": "c", "x": 1, "y": 2},
    ]
    assert merged(COMMON, OWN[:1], by_name=False) == [{"name": "a", "x": 1, "y": 2}, COMMON[1]]
    assert merged(COMMON[:1], OWN, by_name=False) == [{"name": "a", "x": 1, "y": 2}, OWN[1]]


def test_lists_are_merged_by_name() -> None:
    assert merged(COMMON, OWN, by_name=True) == [
        {"name": "a", "x": 1, "y": 2},
        {"name": "b", "x": 1},
        {"name": "c", "y": 2},
    ]


def test_mappings_are_merged_and_lists_of_words_stay() -> None:
    common = {"labels": {"a": "1", "b": "1"}, "words": ["x", "y"]}
    own = {"labels": {"b": "2"}, "words": ["z"], "more": [1]}
    for by_name in (False, True):
        assert merged(common, own, by_name) == {
            "labels": {"a": "1", "b": "2"},
            "words": ["x", "y"],
            "more": [1],
        }


def test_workers_stand_beside_flink(built: dict[str, list[Document]]) -> None:
    deployment = of_kind(built["flink"], "FlinkDeployment")[0]
    assert containers(deployment) == [[FLINK_MAIN], [FLINK_MAIN, "beam-workers"]]
    by_place = copy.deepcopy(deployment)
    del by_place["spec"]["flinkConfiguration"][FLINK_BY_NAME]
    assert containers(by_place) == [[FLINK_MAIN], ["beam-workers"]]


def containers(deployment: Document) -> list[list[str]]:
    """Names of the containers in the pods of both managers."""
    return [[one["name"] for one in pod.containers] for pod in pods([deployment])]
