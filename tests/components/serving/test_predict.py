"""Tests of asking a model, by one whose score is price + 10 * (length of user's name)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tensorflow as tf

from babelrank.components.errors import InputError, ModelError
from babelrank.components.serving.line_quarantine import LineQuarantine
from babelrank.components.serving.model_rows import RowColumn, RowsDescription
from babelrank.components.serving.predict import Predictor


class Toy(tf.Module):
    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, "price"),
            tf.TensorSpec([None], tf.string, "user"),
            tf.TensorSpec([None], tf.int64, "ts"),
        ]
    )
    def rows(self, price: tf.Tensor, user: tf.Tensor, ts: tf.Tensor) -> dict[str, tf.Tensor]:
        known = tf.where(tf.math.is_nan(price), 0.0, price)
        late = tf.cast(ts >= 0, tf.float32) * 0.5
        length = tf.cast(tf.strings.length(user, unit="UTF8_CHAR"), tf.float32)
        return {"score": known + 10 * length + late}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serving")
    toy = Toy()
    path = folder / "7"
    tf.saved_model.save(toy, str(path), signatures={"predict_rows": toy.rows})
    columns = (
        RowColumn(name="price", kind="number"),
        RowColumn(name="user", kind="text"),
        RowColumn(name="ts", kind="time"),
    )
    RowsDescription(task="ranking", signature="predict_rows", output="score", columns=columns).save(
        str(path)
    )
    (folder / "6").mkdir()
    (folder / ".pushing-8-1").mkdir()
    (folder / "notes").mkdir()
    return folder


@pytest.fixture(scope="module")
def predictor(serving: Path) -> Predictor:
    return Predictor(serving)


def test_the_newest_version_is_taken(predictor: Predictor, serving: Path):
    assert predictor.path == serving / "7"
    assert Predictor(serving / "7").path == serving / "7"


@pytest.mark.parametrize("batch", [1, 2, 1024])
def test_order_blank_lines_and_missing_values(predictor: Predictor, batch: int):
    lines = [
        '{"price": 1, "user": "é"}\n',
        "\n",
        "  \n",
        '{"price": 2, "unknown": [1]}\n',
        "{}\n",
        '{"price": null, "user": null, "ts": "1970-01-02"}',
        '{"price": NaN, "user": "ab", "ts": null}\n',
    ]
    assert list(predictor.predict(lines, batch)) == [
        {"score": score} for score in (11.0, 2.0, 0.0, 0.5, 20.0)
    ]


def test_nothing_in_nothing_out(predictor: Predictor):
    assert list(predictor.predict([])) == []
    assert list(predictor.predict(["\n", "\n"])) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'price': 1}", "^line 4: not valid JSON: "),
        ("[1, 2]", r"^line 4: got \[1, 2\]; takes a JSON object\.$"),
        ("5", r"^line 4: got 5; takes a JSON object\.$"),
        ('{"price": "x"}', r"^line 4: price: got 'x'; takes a number or null\.$"),
        ('{"user": ["a", "b"]}', r"^line 4: user: got \['a', 'b'\]; takes a text or null\.$"),
        ('{"ts": "noon"}', r"^line 4: ts: got 'noon'; takes a time or null\.$"),
    ],
)
@pytest.mark.parametrize("batch", [1, 1024])
def test_errors_name_the_line_even_after_blank_ones(
    predictor: Predictor, line: str, message: str, batch: int
):
    with pytest.raises(InputError, match=message):
        list(predictor.predict(["{}", "", "{}", line, "{}"], batch))


@pytest.mark.parametrize("batch", [1, 2, 1024])
def test_bad_lines_go_to_the_quarantine(predictor: Predictor, batch: int, tmp_path: Path):
    lines = [
        b'{"price": 1}\n',
        b"\n",
        b"caf\xe9\r\n",
        b'{"price": "x"}\n',
        b"[" * 100_000,
        b"3",
        b"{}",
        b'{"user": "\\ud800"}',
    ]
    with LineQuarantine(tmp_path / "bad.jsonl", "here") as quarantine:
        found = list(predictor.predict(lines, batch, quarantine))
    assert found == [{"score": score} for score in (1.0, None, None, None, None, 0.0, None)]
    rows = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    rows.sort(key=lambda row: row["position"])
    assert [(row["file"], row["position"], row["reason"]) for row in rows] == [
        ("here", "line 3", "bad_json"),
        ("here", "line 4", "bad_value"),
        ("here", "line 5", "bad_json"),
        ("here", "line 6", "bad_json"),
        ("here", "line 8", "bad_value"),
    ]
    assert rows[0]["raw"] == "caf\ufffd"
    assert rows[1]["detail"] == "line 4: price: got 'x'; takes a number or null."
    assert len(rows[2]["raw"]) == 1000
    assert rows[4]["raw"] == '{"user": "\\ud800"}'
    assert quarantine.count == 5


def test_what_comes_before_a_bad_batch_is_given(predictor: Predictor):
    found = predictor.predict(['{"price": 1}', '{"price": 2}', "bad"], 2)
    assert [next(found), next(found)] == [{"score": 1.0}, {"score": 2.0}]
    with pytest.raises(InputError, match="line 3"):
        next(found)


def test_no_model(tmp_path: Path):
    with pytest.raises(ModelError, match="nowhere: no model here. Give the folder of a pushed"):
        Predictor(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="no model here"):
        Predictor(tmp_path)


def test_a_model_of_somebody_else(tmp_path: Path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelError, match="no model that BabelRank exported"):
        Predictor(tmp_path)


def test_a_model_that_does_not_load(tmp_path: Path):
    RowsDescription(task="ranking", signature="s", output="o", columns=()).save(str(tmp_path))
    (tmp_path / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot load the model"):
        Predictor(tmp_path)
