"""Tests of the comparison of an image with what was compiled."""

from __future__ import annotations

import pytest
from tfx.proto.orchestration import pipeline_pb2

from babelrank.components.errors import BabelRankError
from babelrank.pipelines.kubeflow import fingerprint


def graph(name: str) -> pipeline_pb2.Pipeline:
    made = pipeline_pb2.Pipeline()
    made.pipeline_info.id = name
    return made


def test_the_same_graph() -> None:
    mark = fingerprint.fingerprint(graph("a"))
    assert len(mark) == 64
    fingerprint.check(graph("a"), mark, fingerprint.made_by())


@pytest.mark.parametrize(
    ("compiled_by", "message"),
    [
        ("babelrank 99.0.0, tfx 1.21.0", "The image is older: build it anew"),
        ("babelrank 0.0.9, tfx 1.21.0", "What was compiled is older: compile and submit"),
        (fingerprint.made_by(), "BabelRank's version is the same, so one of the two"),
    ],
)
def test_which_side_is_older(compiled_by: str, message: str) -> None:
    with pytest.raises(BabelRankError, match=message):
        fingerprint.check(graph("a"), fingerprint.fingerprint(graph("b")), compiled_by)
