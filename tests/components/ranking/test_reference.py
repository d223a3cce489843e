"""What the trainer keeps, and that a serving check finds its raw examples and the same scores.

The network and the columns are those of `test_signatures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.ranking import signatures
from babelrank.components.ranking.preprocessing import model_features
from babelrank.components.ranking.reference import reference
from babelrank.components.serving.check.job import Job
from babelrank.components.serving.check.matching import matched
from babelrank.components.serving.check.process import Check
from babelrank.components.serving.config import ServingConfig
from babelrank.components.serving.reference import Reference
from tests.components.ranking.test_signatures import COLUMNS, TRAIN, network

HOUR = 3600
# The first three have values that are known in training only; ids are those of TRAIN.
ROWS: list[dict[str, list[Any]]] = [
    {"user": ["a"], "items": ["j", "i"], "place": ["7"], "rank": [9.0], "timestamp": [2 * HOUR]},
    {"user": ["b"], "place": ["1"], "price": [2.5]},
    {"user": ["stranger"], "items": ["i"], "price": [1.0]},
]
DENSE = [[0.0, 1.0, 9.0, 0.0], [2.5, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]]
"""Price, whether it is missing, rank, whether it is missing."""


class Batches:
    """One batch of the three rows, as training reads them, and one of padding."""

    store = SimpleNamespace(rows=3)

    def dataset(self) -> Iterator[Any]:
        sparse = {
            "user": [1, 2, 3, 0],
            "items": [[2, 1], [-1, -1], [1, -1], [-1, -1]],
            "place": [2, 1, 0, 0],
            "hour": [3, 0, 0, 0],
        }
        ids = {name: tf.constant(values, tf.int32) for name, values in sparse.items()}
        dense = tf.constant([*DENSE, [0.0] * 4], tf.float32)
        yield {"dense_features": dense, "sparse_features": ids}, tf.ones([4]), tf.ones([4])


@pytest.fixture(scope="module")
def made(analyze: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Reference]:
    """The exported model, the transform graph, and what the trainer keeps."""
    output, _ = analyze(COLUMNS, TRAIN)
    features = model_features(COLUMNS, output.vocabulary_size_by_name)
    serving = signatures.ServingModel(network, output, COLUMNS, features)
    folder = tmp_path_factory.mktemp("reference") / "model"
    signatures.save(serving, str(folder))
    kept = reference(network, serving, COLUMNS, Batches())
    return folder, str(Path(output.transform_savedmodel_dir).parent), kept


@pytest.fixture
def raw(example: Callable[[Any], bytes], tmp_path: Path) -> str:
    """Folder of raw examples: others, and those of the trainer in another order."""
    rows = [{"user": ["a"]}, *reversed(ROWS), {"user": ["b"]}]
    (tmp_path / "raw").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "raw" / "data.gz"), "GZIP") as writer:
        for row in rows:
            writer.write(example({**row, "label": [1.0], "sample_weight": [1.0]}))
    return str(tmp_path / "raw")


def test_what_the_trainer_keeps(made: tuple[Path, str, Reference], tmp_path: Path):
    kept = made[2]
    assert kept.replaced == ("place", "dense_features")
    assert [row.inputs["items"] for row in kept.rows] == [[2, 1], [], [1]]
    assert [row.inputs["place"] for row in kept.rows] == [[2], [1], [0]]
    np.testing.assert_allclose([row.inputs["dense_features"] for row in kept.rows], DENSE)
    # In serving, place is 1 (id 1) and rank 2 for everyone.
    expected = [
        1 + 10 * 3 + 100 * 3 + 10_000 + 0.001 * (1 + 2),
        2 + 0 + 0 + 10_000 + 0.001 * (2.5 + 2),
        3 + 10 + 0 + 10_000 + 0.001 * (1 + 2),
    ]
    scores = [row.outputs["score"] for row in kept.rows]
    assert scores == pytest.approx(expected, rel=1e-6)
    kept.save(tmp_path / "reference.json")
    assert Reference.load(tmp_path / "reference.json") == kept


def test_its_raw_examples_are_found(
    made: tuple[Path, str, Reference], raw: str, monkeypatch: pytest.MonkeyPatch
):
    found = matched(made[2], raw, made[1])
    users = [
        tf.train.Example.FromString(row.example).features.feature["user"].bytes_list.value[0]
        for row in found.rows
    ]
    assert users == [b"a", b"b", b"stranger"]
    assert (found.scanned, found.complete) == (5, True)
    monkeypatch.setattr("babelrank.components.serving.check.matching.SCANNED", 2)
    bounded = matched(made[2], raw, made[1])
    assert [row.example is None for row in bounded.rows] == [True, True, False]
    assert (bounded.scanned, bounded.complete) == (2, False)


def test_the_served_model_answers_the_same(
    made: tuple[Path, str, Reference], raw: str, tmp_path: Path
):
    path = tmp_path / "reference.json"
    matched(made[2], raw, made[1]).save(path)
    config = ServingConfig(requests=4)
    report = Check(Job(model=made[0], config=config, reference=path), tmp_path).run()
    assert [finding.text for finding in report.findings if not finding.ok] == []
    assert report.compared == 3
    texts = [finding.text for finding in report.findings]
    # Without those that are known in training only.
    assert "transform_features: 3 features of 3 examples are what training had." in texts
